"""A person's own files in the local account: links below ``s3://local/own``, one for each path, so that none ever comes to mean another.

Runs name what lies there by URI; what people read names it by the path that they gave.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pathology.contracts.uris import Uri

OWN = Uri("s3", "local", "own")


def link(root: Path, path: Path) -> Uri:
    """Show a file or a folder below ``root``, the state's folder, and say where: the same path at the same URI each time."""
    target = path.resolve() if ".." in path.parts else path.absolute()  # a link of theirs stays in it: they know it by that
    uri = OWN / hashlib.sha256(os.fsencode(target)).hexdigest()[:8] / target.name
    shown = uri.under(root)
    shown.parent.mkdir(parents=True, exist_ok=True)
    if not shown.is_symlink():
        shown.symlink_to(target)
    return uri


def is_own(uri: Uri) -> bool:
    """Whether a URI is of a person's own files."""
    return str(uri).startswith(f"{OWN}/")


def _links(root: Path) -> Iterator[tuple[str, str]]:
    for shown in sorted(OWN.under(root).glob("*/*")):
        if shown.is_symlink():
            yield str(OWN / shown.relative_to(OWN.under(root)).as_posix()), str(shown.readlink())


def with_own_paths(root: Path, text: str) -> str:
    """``text`` with the paths that people gave in place of the URIs that stand for them."""
    if str(OWN) in text:
        for uri, path in _links(root):
            text = text.replace(uri, path)
    return text
