"""PrepareMsi in temporary folders: slides that are names and sizes alone, and tables as people write them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from msi_jobs import processing_job
from pathology.commands.prepare_msi import main
from pathology.contracts.msi.prepare import PrepareMsiJob

SLIDES = "s3://bucket/slides"


def sparse(path: Path, size: int = 10) -> None:
    """A file of that size that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)


def slides(store: Path, names: Iterable[str]) -> None:
    """Slides below s3://bucket/slides."""
    for name in names:
        sparse(store / "slides" / name)


def prepare(tmp_path: Path, table: str | bytes | Path, **settings) -> Path:
    """Run PrepareMsi on a table, as text or as a file; the folder of its output."""
    labels = tmp_path / "labels"
    labels.mkdir(parents=True, exist_ok=True)
    if isinstance(table, Path):
        shutil.copy(table, labels)
    else:
        (labels / "labels.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    job = processing_job(tmp_path / "ml", PrepareMsiJob(**{"slides": SLIDES, **settings}), {"labels": labels}, ("cohort",))
    main(job)
    return tmp_path / "ml" / "cohort"


def small(store: Path, count: int = 12) -> str:
    """``count`` flat slides P00.svs …, the first third positive; their label table."""
    slides(store, [f"P{number:02d}.svs" for number in range(count)])
    lines = ["patient_id,label"]
    lines += [f"P{number:02d},{'MSI-H' if number < count // 3 else 'MSS'}" for number in range(count)]
    return "\n".join(lines) + "\n"
