"""Patches as people have them: a zip, or a folder with or without one folder below; nothing is unpacked before it is checked."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from pathology.contracts.errors import DataError

MAX_FILES = 20_000
MAX_FILE = 2**20
MAX_BYTES = 4 * 2**30
MAX_RATIO = 100
MAX_DIRECTORY = 8 * 2**20
"""Budgets: 3,152 patches of at most 150 KB of pixels each make some 350 MB, and PNG hardly compresses once more. The last one is
the zip's table of contents in bytes, read whole before its entries can be counted."""

END_OF_ZIP, ZIP64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
END_BYTES, LOCATOR_BYTES, COMMENT_BYTES = 22, 20, 2**16 - 1
ENCRYPTED = 0x1
"""Fields of the format: PKWARE's APPNOTE 6.3.10, §4.3.15, §4.3.16 and §4.4.4."""

PICTURES = (".png", ".jpg", ".jpeg")
"""What patches' names end in, in small letters or capitals."""

LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
"""What file managers leave beside the files that people meant to pack."""

REMEDY = "fetch it again, or unpack it and give the folder"


class PatchFiles(Protocol):
    """Files by their bare name, wherever they lie."""

    where: str

    @property
    def names(self) -> Iterable[str]:
        """Every file's name without its folder."""

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises DataError when it cannot be read whole."""


def open_patches(path: Path) -> PatchFiles:
    """The files of a zip, or of a folder that holds one zip or the pictures, at its top or one folder below.

    Raises:
        DataError: when there are none, or a zip and pictures, or the zip breaks a rule of :class:`ZippedPatches`.
    """
    if path.is_file():
        return ZippedPatches(path)
    files = _files(path)
    zips = [file for file in files if file.suffix.lower() == ".zip"]
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    if len(zips) > 1 or (zips and pictures):
        raise DataError(
            f"images holds {len(zips)} zip files and {len(pictures)} pictures: give one zip, or the pictures, not both"
        )
    if zips:
        return ZippedPatches(zips[0])
    if not pictures:
        raise DataError(
            "images holds no zip and no PNG or JPEG, at its top or one folder below: give images.zip, or the folder of pictures"
        )
    return FolderPatches(pictures)


def _files(path: Path) -> list[Path]:
    """Files at the top of a folder and one folder below, sorted, without what is hidden or a file manager's."""
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder of patches")
    files = []
    for entry in sorted(path.iterdir()):
        if entry.is_dir() and not _is_litter(entry.name):
            files += sorted(entry.iterdir())
        else:
            files.append(entry)
    return [file for file in files if file.is_file() and not _is_litter(file.name)]


def _is_litter(name: str) -> bool:
    return any(part in LITTER or part.startswith("._") for part in PurePosixPath(name).parts)


def _by_name(paths: Iterable[tuple[str, str]], where: str) -> dict[str, str]:
    """Bare name → full name. Raises DataError when two files share a bare name."""
    full_names: dict[str, str] = {}
    for bare, full in paths:
        if bare in full_names:
            raise DataError(f"{where} holds {bare} twice ({full_names[bare]} and {full}): keep the right one")
        full_names[bare] = full
    return full_names


class FolderPatches:
    """PNGs and JPEGs on the disk."""

    where = "images"

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths: Mapping[str, str] = _by_name(((path.name, str(path)) for path in paths), self.where)

    @property
    def names(self) -> Iterable[str]:
        """Every picture's name."""
        return self._paths.keys()

    def read(self, name: str) -> bytes:
        """A file's bytes, up to the budget of one patch."""
        path = Path(self._paths[name])
        if path.stat().st_size > MAX_FILE:
            raise DataError(f"{name}: {path.stat().st_size:,} bytes are too many for a patch: it is another file")
        return path.read_bytes()


@dataclass(frozen=True)
class _Entry:
    info: zipfile.ZipInfo
    path: PurePosixPath


class ZippedPatches:
    """Files of a zip, all entries checked before one is read; read by one thread or several.

    Raises:
        DataError: for names that are not plain and relative, links and devices, a name twice, encryption, other methods than
            stored and deflated, more files or bytes than a set of patches has, or a zip that is not whole.
    """

    def __init__(self, path: Path) -> None:
        self.where = path.name
        _check_directory(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise DataError(f"{self.where} cannot be opened as a zip ({error}): {REMEDY}") from None
        try:
            entries = self._checked(path.stat().st_size)
            self._entries = {entry.info.filename: entry.info for entry in entries}
            self._paths = _by_name(((entry.path.name, entry.info.filename) for entry in entries), self.where)
        except DataError:
            self._zip.close()
            raise

    @property
    def names(self) -> Iterable[str]:
        """Every file's name without its folder."""
        return self._paths.keys()

    def read(self, name: str) -> bytes:
        """A file's bytes: as many as its entry says, with the checksum that it says."""
        info = self._entries[self._paths[name]]
        try:
            with self._zip.open(info) as file:
                content = file.read(MAX_FILE + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
            raise DataError(f"{name} in {self.where} cannot be read ({error}): {REMEDY}") from None
        if len(content) != info.file_size:
            raise DataError(f"{name} in {self.where} has {len(content):,} bytes and says {info.file_size:,}: {REMEDY}")
        return content

    def _checked(self, size: int) -> list[_Entry]:
        infos = self._zip.infolist()
        total = sum(info.file_size for info in infos)
        if len(infos) > MAX_FILES or total > MAX_BYTES or total > MAX_RATIO * size:
            raise DataError(
                f"{self.where} unpacks to {len(infos):,} files of {total:,} bytes: more than patches make of {size:,} bytes; refused"
            )
        entries = [self._entry(info) for info in infos]
        return [entry for entry in entries if not entry.info.is_dir() and not _is_litter(str(entry.path))]

    def _entry(self, info: zipfile.ZipInfo) -> _Entry:
        name = info.orig_filename  # as the zip has it: ``filename`` ends at the first NUL
        where = f"{self.where}: {name!r:.100}"
        path = PurePosixPath(name)
        parts = name.removesuffix("/").split("/")
        if not name.isprintable() or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
            raise DataError(f"{where} is not a plain relative name: pack the patches again")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):  # 0: packed where files have no kind
            raise DataError(f"{where} is a link or a device: pack files and folders only")
        if info.flag_bits & ENCRYPTED:
            raise DataError(f"{where} is encrypted: pack the patches without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{where} is compressed with method {info.compress_type}: pack with an ordinary zip")
        if info.file_size > MAX_FILE:
            raise DataError(f"{where} has {info.file_size:,} bytes, too many for a patch: take it out")
        return _Entry(info, path)


def _check_directory(path: Path) -> None:
    """Refuse a table of contents that would not fit in memory, before Python's reader loads it."""
    with path.open("rb") as file:
        size = path.stat().st_size
        tail_bytes = min(size, END_BYTES + COMMENT_BYTES + LOCATOR_BYTES)
        file.seek(size - tail_bytes)
        tail = file.read(tail_bytes)
    end = tail.rfind(END_OF_ZIP)
    if end < 0 or len(tail) - end < END_BYTES:
        raise DataError(f"{path.name} is not a zip, or not all of one: {REMEDY}")
    if ZIP64_LOCATOR in tail[max(0, end - LOCATOR_BYTES) : end]:
        raise DataError(f"{path.name} is a zip64 archive, made for larger sets: unpack it and give the folder")
    (directory,) = struct.unpack_from("<L", tail, end + 12)
    if directory > MAX_DIRECTORY:
        raise DataError(f"{path.name} lists more files than a set of patches has ({directory:,} bytes of names): refused")
