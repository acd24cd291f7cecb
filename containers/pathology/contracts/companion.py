"""The folder that belongs to a slide's file: MRXS is ``x.mrxs`` and ``x/`` beside it, without which it holds nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pathology.contracts.errors import DataError
from pathology.contracts.storage import Entry
from pathology.contracts.uris import Uri

COMPANION_SUFFIX = ".mrxs"
INDEX = "slidedat.ini"
"""Which every MRXS folder has; case aside."""


def companion_folder(uri: Uri) -> Uri | None:
    """Where the folder of a slide's file lies; None for files that are whole alone."""
    if not uri.path.lower().endswith(COMPANION_SUFFIX):
        return None
    return Uri(uri.scheme, uri.root, uri.path[: -len(COMPANION_SUFFIX)])


def below(folder: Uri, entry: Entry) -> str:
    """Where an entry of a companion folder lies in it.

    Raises:
        DataError: for a key that is no path below the folder: a store of objects takes any name.
    """
    path = entry.uri.path.removeprefix(f"{folder.path}/")
    if path.startswith("/") or {"..", "."}.intersection(path.split("/")):
        raise DataError(f"{entry.uri} is no path below {folder}: rename it")
    return path


@dataclass(frozen=True)
class Companion:
    """A companion folder: its files and their bytes, whether its index is there, and a ``mark`` that changes when one of them does."""

    files: int
    bytes: int
    indexed: bool
    mark: str

    @classmethod
    def of(cls, folder: Uri, entries: Iterable[Entry]) -> Self:
        """The folder as a listing has it."""
        known = sorted((below(folder, entry), entry.bytes, entry.mark) for entry in entries)
        text = "".join(f"{name}\0{size}\0{mark}\n" for name, size, mark in known)
        indexed = any(name.lower() == INDEX for name, _, _ in known)
        mark = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return cls(len(known), sum(size for _, size, _ in known), indexed, mark)
