"""Is a downloaded file what it should be? ``python3 contents.py KIND FILE``, with the standard library only.

For files whose hash nobody publishes: a sign-in page saved under an array's name ends here, not in a training job.
Prints what is wrong and exits with 1, or prints nothing. The figures are those that the data sets' authors state.
"""

from __future__ import annotations

import ast
import csv
import struct
import sys
import zipfile
from pathlib import Path

MHIST_PATCHES = 3152
MHIST_HEADER = ["Image Name", "Majority Vote Label", "Number of Annotators who Selected SSA (Out of 7)", "Partition"]
CONIC_PATCHES = 4981
CONIC_COUNTS = ["neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective"]
NPY_MAGIC = b"\x93NUMPY"


class ContentsError(Exception):
    """What is wrong with a file, as the end of a sentence that its name begins."""


def check_table(path: Path, header: list[str], lines: int) -> None:
    """Raises ContentsError unless ``path`` is a csv table with this header and so many lines below it."""
    try:
        rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContentsError(f"is not a valid csv table ({error})") from None
    if not rows or rows[0] != header:
        raise ContentsError(f"should begin with {','.join(header)!r} and does not")
    if len(rows) - 1 != lines:
        raise ContentsError(f"has {len(rows) - 1} lines and should have {lines}")


def check_zip(path: Path, suffix: str, files: int | None) -> None:
    """Raises ContentsError unless ``path`` is a zip, whole by its own checksums, with so many files ending in ``suffix``."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(suffix) and not name.startswith("__MACOSX/")]
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ContentsError(f"is not a valid zip ({error})") from None
    if damaged is not None:
        raise ContentsError(f"is damaged at {damaged}")
    if not names or (files is not None and len(names) != files):
        raise ContentsError(f"holds {len(names)} {suffix} files and should hold {files or 'some'}")


def check_array(path: Path, shape: tuple[int, ...], kind: str, bytes_each: int) -> None:
    """Raises ContentsError unless ``path`` is a npy file of this shape, C order and kind (``u``: unsigned), and of that length.

    The header is read as NumPy's format says (numpy.lib.format): nothing in it is run.
    """
    with path.open("rb") as file:
        start = file.read(8)
        if start[:6] != NPY_MAGIC or start[6:7] not in (b"\x01", b"\x02", b"\x03"):
            raise ContentsError("is not a valid npy array")
        width = 2 if start[6] == 1 else 4
        (length,) = struct.unpack("<H" if width == 2 else "<I", file.read(width).ljust(width, b"\0"))
        try:
            header = ast.literal_eval(file.read(min(length, 10_000)).decode("latin-1"))
            actual = (tuple(header["shape"]), header["fortran_order"], header["descr"])
        except (ValueError, SyntaxError, TypeError, KeyError):
            raise ContentsError("has no npy header that can be read") from None
    kinds = {f"{order}{kind}{bytes_each}" for order in "<|="}
    if actual[0] != shape or actual[1] or actual[2] not in kinds:
        raise ContentsError(f"holds {actual[2]} {actual[0]} and should hold {kind}{bytes_each} {shape}")
    values = 1
    for side in shape:
        values *= side
    expected = 8 + width + length + values * bytes_each
    if path.stat().st_size != expected:
        raise ContentsError(f"has {path.stat().st_size} bytes and its header says {expected}")


CHECKS = {
    "mhist-annotations": lambda path: check_table(path, MHIST_HEADER, MHIST_PATCHES),
    "mhist-images": lambda path: check_zip(path, ".png", MHIST_PATCHES),
    "conic-images": lambda path: check_array(path, (CONIC_PATCHES, 256, 256, 3), "u", 1),
    "conic-labels": lambda path: check_array(path, (CONIC_PATCHES, 256, 256, 2), "u", 2),
    "conic-counts": lambda path: check_table(path, CONIC_COUNTS, CONIC_PATCHES),
    "conic-patches": lambda path: check_table(path, ["patch_info"], CONIC_PATCHES),
    "workbook": lambda path: check_zip(path, ".xml", None),
}


def main(arguments: list[str]) -> int:
    """0 when FILE is what KIND says, 1 after printing what is wrong, 2 for another command line."""
    if len(arguments) != 2 or arguments[0] not in CHECKS:
        print(f"usage: contents.py {'|'.join(CHECKS)} FILE", file=sys.stderr)
        return 2
    try:
        CHECKS[arguments[0]](Path(arguments[1]))
    except ContentsError as wrong:
        print(wrong)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
