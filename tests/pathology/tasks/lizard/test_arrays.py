"""images.npy and labels.npy: what another header, type or layout holds is refused by name, and nothing in them is run."""

import io
import os
import pickle

import numpy as np
import pytest
from conic_files import PATCHES, refused, resave
from hypothesis import given
from hypothesis import strategies as st
from pathology.contracts.errors import DataError
from pathology.tasks.lizard.arrays import IMAGES, LABELS, open_array


def npy(header: str, data: bytes = b"") -> bytes:
    """A file of format 1.0 with this header."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def declares(shape: str, descr: str = "|u1", order: str = "False") -> bytes:
    return npy(f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}", bytes(2 * 64 * 64 * 3))


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_objects_are_never_unpickled(copied, tmp_path, name):
    objects = np.empty((PATCHES, 256, 256, 2), object)
    objects[:] = 0
    objects[0, 0, 0, 0] = Trap(tmp_path / "sprung")
    np.save(copied / name, objects, allow_pickle=True)
    refused(copied, f"{name} holds Python objects, .*; refused: save it as uint")
    (copied / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(copied, f"{name} cannot be read as npy")
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()  # the trap works where it is opened


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        (IMAGES, np.float32, "images.npy is float32 and should be uint8"),
        (IMAGES, np.uint16, "images.npy is uint16 and should be uint8"),
        (LABELS, np.float64, "labels.npy is float64 and should be uint16"),
        (LABELS, np.int16, "labels.npy is int16 and should be uint16"),
        (LABELS, ">u2", "labels.npy is >u2 and should be uint16"),
        (LABELS, "U1", "labels.npy is <U1 and should be uint16"),
    ],
)
def test_another_type_is_refused(copied, name, dtype, message):
    resave(copied, name, lambda array: array.astype(dtype))
    refused(copied, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (declares("(9000000000000, 64, 64, 3)"), r"declares 110,592,000,000,000,\d+: fetch the file again"),
        (declares("(3, 64, 64, 3)"), r"has 24,\d+ bytes and its header declares 36,"),
        (declares("(1, 64, 64, 3)"), r"has 24,\d+ bytes and its header declares 12,"),
        (declares("(-2, 64, 64, 3)"), r"has the shape \(-2, 64, 64, 3\) and should have \(patches, side, side, 3\)"),
        (declares("(0, 64, 64, 3)"), r"has the shape \(0, 64, 64, 3\)"),
        (declares("(2, 64, 64)"), r"has the shape \(2, 64, 64\)"),
        (declares("(2, 64, 64, 4)"), r"has the shape \(2, 64, 64, 4\)"),
        (declares("(2, 64, 32, 6)"), r"has the shape \(2, 64, 32, 6\)"),
        (declares("()"), r"has the shape \(\)"),
        (declares("(8, 32, 32, 3)"), "holds patches of 32 px: from 64 to 2048 px can be read"),
        (declares("(1, 50000, 50000, 3)"), "holds patches of 50000 px"),
        (declares("(2, 64, 64, 3)", order="True"), "Fortran's order"),
        (declares("(2, 64, 64, 3)", descr="|O"), "holds Python objects"),
        (declares("(2, 64, 64, 3)", descr="nonsense"), "cannot be read as npy"),
        (npy("__import__('os').getcwd()"), "cannot be read as npy"),
        (npy("{'descr': '|u1'"), "cannot be read as npy"),
        (npy("(" * 9000), "cannot be read as npy"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", r"cannot be read as npy \(npy format 2\.0\)"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "cannot be read as npy"),
        (b"PK\x03\x04" + bytes(100), "cannot be read as npy"),
        (b"", "images.npy cannot be read as npy"),
    ],
)
def test_a_forged_header_is_refused_before_anything_is_read(copied, content, message):
    (copied / IMAGES).write_bytes(content)
    refused(copied, message)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_in_one_line(tmp_path_factory, content, framed):
    path = tmp_path_factory.getbasetemp() / IMAGES
    path.write_bytes(npy(content.decode("latin1")) if framed else content)
    with pytest.raises(DataError, match="images.npy") as caught:
        open_array(path)
    assert "\n" not in str(caught.value)


def test_a_fortran_array_of_numpy_is_refused(copied):
    resave(copied, LABELS, np.asfortranarray)
    refused(copied, "labels.npy is in Fortran's order, slow to read by patch: save numpy.ascontiguousarray of it")


def test_a_header_of_numpy_is_what_the_forged_ones_imitate(tmp_path):
    """The helper above makes what numpy makes, so that a refusal is of what was forged."""
    file = io.BytesIO()
    np.save(file, np.zeros((2, 64, 64, 3), np.uint8))
    (tmp_path / IMAGES).write_bytes(declares("(2, 64, 64, 3)"))
    assert np.array_equal(open_array(tmp_path / IMAGES), np.load(io.BytesIO(file.getvalue())))
