"""What pipelines of the local environment do by default: the data that lie here and what they need, by task and parameter.

A file a task in the state's folder. Other environments have nothing of the kind: there ``pipeline_definitions/`` says it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pathology.contracts.errors import RequestError

from pipelines.local.damage import DamagedError
from pipelines.local.state import read_json, write_json

FOLDER = "defaults"


def defaults_path(root: Path, task: str) -> Path:
    """A task's file."""
    return root / FOLDER / f"{task}.json"


def write_defaults(root: Path, task: str, values: Mapping[str, str]) -> None:
    """Keep a task's defaults, as its parameters are written, in place of those that were there."""
    write_json(defaults_path(root, task), dict(values))


def read_defaults(root: Path) -> dict[str, dict[str, str]]:
    """Every task's defaults, by task and parameter; nothing for a task whose data do not lie here.

    Raises:
        RequestError: naming the file that holds something else, or stands where the state's folder should be.
    """
    if root.exists() and not root.is_dir():
        raise RequestError(
            f"{root}: is a file, and should be the folder of what runs here keep: move it away, or set PATHOLOGY_STATE to a folder"
        )
    read = {}
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            values = read_json(path)
        except DamagedError:
            values = None
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise RequestError(f"{path}: should be values by parameter, in JSON: delete it, and make demo TASK={path.stem} again")
        read[path.stem] = values
    return read
