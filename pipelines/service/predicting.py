"""Slides that a person names, as a prediction pipeline reads them."""

from __future__ import annotations

import csv
import hashlib
import io
import shlex
from collections.abc import Sequence
from pathlib import Path

from pathology.contracts.errors import RequestError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.local.own import link
from pipelines.service.session import Session

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
        there = Uri("s3", session.environment.bucket, f"incoming/{path.name}")
        raise RequestError(
            f"{path} is on this machine, and {session.environment.name} is not: copy it there with "
            f"aws s3 cp {'--recursive ' if path.is_dir() else ''}{shlex.quote(str(path))} {shlex.quote(str(there))}, "
            "and give that URI"
        )
    buckets, whole = session.store.root / "s3", path.absolute()
    if whole.is_relative_to(buckets) and whole != buckets:
        return Uri.parse(f"s3://{whole.relative_to(buckets).as_posix()}")
    if path.is_dir():
        return link(session.store.root, path)
    return link(session.store.root, whole.parent) / whole.name  # its folder, where what belongs to it may lie beside
