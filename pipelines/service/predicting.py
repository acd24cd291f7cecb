"""Slides that a person names, as a prediction pipeline reads them; and what a run of it came to."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.local.own import link
from pipelines.service.executions import ExecutionState
from pipelines.service.results import REPORT, described_job, outputs_of
from pipelines.service.session import Session

OUTPUT, TABLE = "predictions", "predictions.csv"
"""What the last step of a prediction pipeline leaves: its output, and the table in it, a row an answer."""
LISTS = "predictions/slides"
"""Where in the bucket tables lie that name slides of several places, each by its content."""


def slides_uri(session: Session, given: Sequence[str]) -> str:
    """The folder that a person names, or a table of the slides: nothing is copied that is in the store, or lies on this machine
    where runs are local.

    Raises:
        RequestError: for a path that is not there, or one of this machine where runs are not.
    """
    if len(given) == 1 and given[0].startswith("s3://"):
        return str(Uri.parse(given[0]))
    if len(given) == 1 and Path(given[0]).expanduser().is_dir():
        return str(placed(session, Path(given[0]).expanduser()))
    uris = [str(Uri.parse(text) if "://" in text else placed(session, Path(text).expanduser())) for text in given]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["slide"])
    writer.writerows([uri] for uri in sorted(set(uris)))
    content = text.getvalue().encode()
    table = Uri("s3", session.environment.bucket, f"{LISTS}/{hashlib.sha256(content).hexdigest()[:16]}.csv")
    session.store.create(table, content)
    return str(table)


def placed(session: Session, path: Path) -> Uri:
    """Where a local run reads a person's own file or folder: where it lies.

    Raises:
        RequestError: when it is not there, or the run is not local.
    """
    if not path.exists():
        raise RequestError(f"{path}: there is no such file or folder")
    if not isinstance(session.store, FolderStore):
        raise RequestError(
            f"{path} is on this machine, and {session.environment.name} is not: copy it there with "
            f"aws s3 cp {'--recursive ' if path.is_dir() else ''}{path} s3://{session.environment.bucket}/incoming/{path.name}, "
            "and give that URI"
        )
    buckets, whole = session.store.root / "s3", path.absolute()
    if whole.is_relative_to(buckets) and whole != buckets:
        return Uri.parse(f"s3://{whole.relative_to(buckets).as_posix()}")
    if path.is_dir():
        return link(session.store.root, path)
    return link(session.store.root, whole.parent) / whole.name  # its folder, where what belongs to it may lie beside


def predictions_folder(session: Session, state: ExecutionState) -> Uri | None:
    """Where the predictions of an execution lie; None when none have been made."""
    for step in reversed(state.steps):
        if step.status == "Succeeded" and step.job and ":processing-job/" in step.job:
            uri = outputs_of(described_job(session, step)).get(OUTPUT)
            if uri:
                return Uri.parse(uri)
    return None


def read_rows(session: Session, folder: Uri) -> list[Mapping[str, str]]:
    """The rows of predictions.csv by column, the first of which names the item.

    Raises:
        DataError: when it is gone or no such table.
    """
    reader = csv.DictReader(io.StringIO(session.store.read(folder / TABLE).decode(errors="replace"), newline=""))
    rows: list[Mapping[str, str]] = list(reader)
    if not {"status", "reason", "label", "probability"} <= set(reader.fieldnames or ()):
        raise DataError(f"{folder / TABLE}: is no table of predictions: start another execution")
    return rows


def page(folder: Uri) -> Uri:
    """The batch's page."""
    return folder / REPORT
