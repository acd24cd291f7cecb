"""PrepareMsi in temporary folders: slides that are names and sizes alone, and tables as people write them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from pathology.commands.prepare_msi import main
from pathology.contracts.errors import DataError
from pathology.contracts.msi.prepare import PrepareMsiJob
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from prepare_jobs import gather, put, run_prepare

SLIDES = "s3://bucket/slides"
TABLES = Path(__file__).parent / "cohort" / "tables"
SPLIT = {"folds": 2, "test_fraction": 0.25, "split": "stratified"}
CLAM = [f"{number:04d}-S{number % 2}.svs" for number in range(48)]
CASES = [f"case{number:02d}.svs" for number in range(1, 25)]
HE = [f"P{number:02d}_HE.svs" for number in range(24)]


def sparse(path: Path, size: int = 10) -> None:
    """A file of that size that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)


def slides(store: Path, names: Iterable[str]) -> None:
    """Slides below s3://bucket/slides."""
    for name in names:
        sparse(store / "slides" / name)


def prepare(tmp_path: Path, table: str | bytes | Path, on: Store | None = None, **settings) -> Path:
    """Run PrepareMsi on a table, as text or as a file; what it hands on in one folder. ``on`` is the command's store, where
    that is not the folder of ``store``."""
    labels = tmp_path / "labels"
    labels.mkdir(parents=True, exist_ok=True)
    if isinstance(table, Path):
        path = Path(shutil.copy(table, labels))
    else:
        path = labels / "labels.csv"
        path.write_bytes(table.encode() if isinstance(table, str) else table)
    uris, where = Path(os.environ["PATHOLOGY_URI_ROOT"]), f"s3://bucket/labels-{tmp_path.name}/{path.name}"
    if on is None:
        put(uris, where, path)
    else:
        on.upload(path, Uri.parse(where))
    handed = run_prepare(main, tmp_path / "ml", uris, PrepareMsiJob, {}, on, **{"labels": where, "slides": SLIDES, **settings})
    return gather(tmp_path / "ml" / "cohort", handed, "cohort", "slides_to_extract", "flow")


def small(store: Path, count: int = 12) -> str:
    """``count`` flat slides P00.svs …, the first third positive; their label table."""
    slides(store, [f"P{number:02d}.svs" for number in range(count)])
    lines = ["patient_id,label"]
    lines += [f"P{number:02d},{'MSI-H' if number < count // 3 else 'MSS'}" for number in range(count)]
    return "\n".join(lines) + "\n"


def summary(folder: Path) -> dict:
    """cohort.json."""
    return json.loads((folder / "cohort.json").read_text())


def losses(folder: Path) -> dict[str, list[str]]:
    """The names lost, by reason."""
    return {loss["reason"]: loss["names"] for step in summary(folder)["flow"]["steps"] for loss in step["lost"]}


def refused(tmp_path, table, **settings) -> str:
    """What PrepareMsi says in one line when it refuses; nothing was written."""
    with pytest.raises(DataError) as caught:
        prepare(tmp_path, table, **{**SPLIT, **settings})
    message = str(caught.value)
    assert "\n" not in message
    assert not list(tmp_path.rglob("cohort.csv"))
    return message


def numbered(header: str, row: str, count: int = 24) -> str:
    """A table whose rows are ``row`` with {n} (two digits), {p} (two slides a patient) and {label} (a third is positive)."""
    lines = [row.format(n=f"{n:02d}", p=f"{n // 2:02d}", label="MSI-H" if n // 2 % 3 == 0 else "MSS") for n in range(count)]
    return "\n".join([header, *lines]) + "\n"
