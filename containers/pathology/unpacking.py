"""Unpacking a ``model.tar.gz``: plain files and folders, within a budget, wherever it came from."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

from pathology.contracts.errors import DataError

MAX_FILES = 500
MAX_BYTES = 8 * 2**30
MAX_RATIO = 200
"""H-optimus-0 fine-tuned whole is 4.3 GiB of float32, which hardly compress; heads are some MB."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ``model.tar.gz`` of ours into an empty folder.

    Raises:
        DataError: for anything but regular files and folders with plain relative names, or more of them than a model has.
    """
    budget = min(MAX_BYTES, MAX_RATIO * archive.stat().st_size + 2**20)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for number, member in enumerate(tar):
                budget -= member.size
                _check_member(member, number, budget, archive)
                _extract(tar, member, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{archive.name} cannot be unpacked ({error}): fetch it again") from None


def _check_member(member: tarfile.TarInfo, number: int, budget: int, archive: Path) -> None:
    path = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()) or member.sparse:
        raise DataError(f"{archive.name}: {member.name!r} is a link or a device: a model holds only files and folders")
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise DataError(f"{archive.name}: {member.name!r} would lie outside the model's folder")
    if number >= MAX_FILES or budget < 0:
        raise DataError(f"{archive.name} unpacks to more than a model holds: it is refused")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder.joinpath(*PurePosixPath(member.name).parts)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    source = tar.extractfile(member)
    if source is None:
        raise DataError(f"{member.name!r} cannot be read from the archive: fetch it again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as file:
        while block := source.read(2**20):
            file.write(block)
