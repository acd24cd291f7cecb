"""What infra/datasets/contents.py takes for MHIST's and CoNIC's files, at their real sizes."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[3] / "infra" / "datasets" / "contents.py"


@pytest.fixture(scope="module")
def contents() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contents", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def array(path: Path, shape: tuple[int, ...], dtype: str, *, extra: int = 0, fortran: bool = False) -> Path:
    """A npy file that is all hole after its header, as NumPy writes it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": fortran, "descr": dtype})
        start = file.tell()
    os.truncate(path, start + int(np.prod(shape)) * np.dtype(dtype).itemsize + extra)
    return path


def test_conics_arrays_are_taken(contents: ModuleType, tmp_path: Path) -> None:
    images = array(tmp_path / "images.npy", (4981, 256, 256, 3), "|u1")
    labels = array(tmp_path / "labels.npy", (4981, 256, 256, 2), "<u2")
    assert contents.main(["conic-images", str(images)]) == 0
    assert contents.main(["conic-labels", str(labels)]) == 0
    assert contents.main(["conic-labels", str(images)]) == 1


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "words"),
    [
        ((10, 256, 256, 3), "|u1", {}, "should hold u1 (4981, 256, 256, 3)"),
        ((4981, 256, 256, 3), "<f4", {}, "should hold u1"),
        ((4981, 256, 256, 3), "|u1", {"extra": -1}, "its header says"),
        ((4981, 256, 256, 3), "|u1", {"extra": 1}, "its header says"),
        ((4981, 256, 256, 3), "|u1", {"fortran": True}, "should hold u1"),
        ((4981, 256, 256, 3), "|O", {}, "should hold u1"),
    ],
)
def test_other_arrays_are_not(
    contents: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shape: tuple[int, ...],
    dtype: str,
    options: dict[str, int],
    words: str,
) -> None:
    path = array(tmp_path / "images.npy", shape, dtype, **options)  # type: ignore[arg-type]
    assert contents.main(["conic-images", str(path)]) == 1
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    "body", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00\x01\x00{", b"\x93NUMPY\x01\x00\x05\x00print", b"<html>"]
)
def test_bytes_that_are_no_array(contents: ModuleType, tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "images.npy"
    path.write_bytes(body)
    assert contents.main(["conic-images", str(path)]) == 1


def test_header_is_read_and_not_run(contents: ModuleType, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(trap)!r}).touch()".encode()
    path = tmp_path / "images.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(code).to_bytes(2, "little") + code)
    assert contents.main(["conic-images", str(path)]) == 1
    assert not trap.exists()


def test_unknown_kind_is_another_command_line(contents: ModuleType) -> None:
    assert contents.main(["slides", "x"]) == 2
