"""``python -m demo --task msi``: make data, upsert the task's pipeline here, run it, on this machine alone.

With ``--data NAME=PATH``, as often as the task has data, the same run reads a person's own.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pathology.contracts.encoder import MANIFEST
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from pipelines.cli import Debug, Task, run
from pipelines.service.session import state_folder
from pipelines.tasks import NAMES, task_spec
from pipelines.tasks.spec import Demo, resolve

BUCKET = "local"
ENCODER = f"s3://{BUCKET}/demo/tiny-encoder"


def _finished(folder: Path) -> Path:
    return folder / ".complete"


def make_data(state: Path, task: str) -> dict[str, str]:
    """Generate a task's data once; the parameters that name them."""
    root, spec = Uri.parse(f"s3://{BUCKET}/demo/{task}"), task_spec(task).demo
    folder = root.under(state)
    if not _finished(folder).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        resolve(spec.make)(folder)
        _finished(folder).touch()
    return {name: str(root / key) for name, key in spec.data.items()}


def link_data(state: Path, spec: Demo, given: Mapping[str, Path]) -> dict[str, str]:
    """Put a person's own data, by name, where the run reads, as links; the parameters that name them.

    Raises:
        RequestError: when one is not there.
    """
    for name, is_folder in spec.own.values():
        path = given[name]
        if not (path.is_dir() if is_folder else path.is_file()):
            raise RequestError(f"{name.upper()}={path}: there is no such {'folder' if is_folder else 'file'}")
    root = Uri.parse(f"s3://{BUCKET}/own")
    shutil.rmtree(root.under(state), ignore_errors=True)
    values = {}
    for parameter, (name, is_folder) in spec.own.items():
        uri = root / name if is_folder else root / name / given[name].name
        link = uri.under(state)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(given[name].resolve(), target_is_directory=is_folder)
        values[parameter] = str(uri)
    return values


def own_data(task: str, spec: Demo, given: Sequence[str]) -> dict[str, Path]:
    """``["slides=…", …]``, the names in small or capital letters: all that the task has, or none.

    Raises:
        RequestError: for one without ``=``, only some of the task's data, or another task's.
    """
    paths: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise RequestError(f"--data {text}: write NAME=PATH")
        paths[name.lower()] = Path(path)
    wanted = dict(spec.own.values())
    if stray := sorted(set(paths) - set(wanted)):
        raise RequestError(f"{stray[0].upper()} is not data of TASK={task}, which reads {' and '.join(map(str.upper, wanted))}")
    if paths and len(paths) < len(wanted):
        names = " and ".join(f"{name.upper()}=<{'folder' if is_folder else 'table'}>" for name, is_folder in wanted.items())
        raise RequestError(f"give both {names}, or neither")
    return paths


def make_encoder(state: Path) -> None:
    """The tiny seeded encoder, once."""
    folder = Uri.parse(ENCODER).under(state)
    if not (folder / MANIFEST).is_file():
        from pathology.encoders.tiny import make_tiny_encoder

        print("making the tiny encoder (random weights from a seed: it shows that things run, not what H-optimus-0 can do)")
        make_tiny_encoder(folder)


def forget(state: Path) -> None:
    """Drop what earlier runs made, and keep the data they started from."""
    for name in ("executions", "cache", "pipelines", "model-packages", "efs", f"s3/{BUCKET}/runs", f"s3/{BUCKET}/demo/features"):
        shutil.rmtree(state / name, ignore_errors=True)


def demo(
    task: Task = NAMES[0],
    data: Annotated[
        list[str] | None, typer.Option("--data", help="NAME=PATH: your own data; without it they are generated.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget earlier runs first.")] = False,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as for pipelines.start.")] = None,
    debug: Debug = False,
) -> int:
    """Run a whole pipeline on this machine: data, upsert, execution, model version."""
    from pipelines.start import start
    from pipelines.upsert import upsert

    spec = task_spec(task).demo
    given = own_data(task, spec, data or [])
    state = state_folder()
    if fresh:
        forget(state)
    places = link_data(state, spec, given) if given else make_data(state, task)
    make_encoder(state)
    sys.stdout.flush()
    code = upsert(task, environment="local", debug=debug)
    if code:
        return code
    changed = {name: value.format(bucket=BUCKET) for name, value in spec.settings.items()}
    values = {"EncoderUri": ENCODER, **changed, **places}
    return start(
        task, environment="local", param=[*(f"{key}={value}" for key, value in values.items()), *(param or [])], debug=debug
    )


if __name__ == "__main__":
    run(demo)
