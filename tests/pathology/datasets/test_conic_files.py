"""CoNIC's four files: what is right is mapped, what is wrong is named in one line, and nothing in them is run."""

import io
import os
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathology.contracts.errors import DataError
from pathology.contracts.settings_lizard import LIZARD_CLASSES
from pathology.datasets import conic_files
from pathology.datasets.conic_files import (
    COUNTS,
    IMAGES,
    LABELS,
    NAMES,
    check_labels,
    open_array,
    read_conic,
    read_counts,
    read_names,
)
from pathology.nuclei.counts import central_counts

from demo.nuclei import make_nuclei

PATCHES = 6
FIRST = "crag_1-0000"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("conic")
    make_nuclei(top, PATCHES, seed=1, sources=3)
    return top


@pytest.fixture
def own(made, tmp_path):
    """The four files, to do harm to."""
    shutil.copytree(made, tmp_path / "own")
    return tmp_path / "own"


def refused(folder, said, classes=LIZARD_CLASSES):
    with pytest.raises(DataError, match=said) as caught:
        read_conic(folder, classes)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def resave(folder, name, change, **options):
    """Save an array again after ``change`` made another of it."""
    array = change(np.load(folder / name))
    np.save(folder / name, array, **options)


def npy(header: str, data: bytes = b"") -> bytes:
    """A file of format 1.0 with this header."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def declares(shape: str, descr: str = "|u1", order: str = "False") -> bytes:
    return npy(f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}", bytes(2 * 64 * 64 * 3))


def test_a_data_set_is_mapped_and_counted(made):
    conic = read_conic(made, LIZARD_CLASSES)
    assert isinstance(conic.images, np.memmap) and isinstance(conic.labels, np.memmap) and not conic.images.flags.writeable
    assert np.array_equal(conic.images, np.load(made / IMAGES)) and np.array_equal(conic.labels, np.load(made / LABELS))
    assert conic.names[:3] == (FIRST, "crag_1-0001", "dpath_1-0000") and conic.side == 256 and conic.identical == ()
    assert conic.nuclei.sum(axis=1).tolist() == conic.labels[..., 0].reshape(PATCHES, -1).max(axis=1).tolist()
    with_border = [central_counts(labels, 6, side=256).tolist() for labels in conic.labels]
    assert conic.nuclei.tolist() == with_border


def test_the_real_patches_are_in_order(shared_data):
    folder = shared_data / "nuclei"
    if not folder.is_dir():
        pytest.skip("real nuclei are absent")
    conic = read_conic(folder, ("non_tumor", "tumor"))
    assert conic.images.shape == (10, 256, 256, 3) and conic.names[1] == "nucls_train_10-0000" and conic.nuclei.sum() == 458
    refused(folder, "the header is 'non_tumor,tumor' and 'classes' are 'neutrophil,.*set 'classes' to the header")


def test_progress_is_said(made, capsys, monkeypatch):
    monkeypatch.setattr(conic_files, "PROGRESS", 4)
    read_conic(made, LIZARD_CLASSES)
    assert capsys.readouterr().out == f"checked 4 of {PATCHES} patches\n"


def test_identical_patches_are_found(own):
    def copy(images):
        images[5] = images[1]
        return images

    resave(own, IMAGES, copy)
    assert read_conic(own, LIZARD_CLASSES).identical == (("crag_1-0001", "glas_1-0001"),)


def test_smaller_patches_of_other_data(own):
    """64 px are less than the centre: all nuclei count."""
    resave(own, IMAGES, lambda images: np.ascontiguousarray(images[:, :64, :64]))
    labels = np.zeros((PATCHES, 64, 64, 2), np.uint16)
    labels[:, :3, :3] = 1, 2
    np.save(own / LABELS, labels)
    (own / COUNTS).write_text("tumor,other\n" + "0,1\n" * PATCHES)
    conic = read_conic(own, ("tumor", "other"))
    assert conic.side == 64 and conic.nuclei.tolist() == [[0, 1]] * PATCHES


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_objects_are_never_unpickled(own, tmp_path, name):
    objects = np.empty((PATCHES, 256, 256, 2), object)
    objects[:] = 0
    objects[0, 0, 0, 0] = Trap(tmp_path / "sprung")
    np.save(own / name, objects, allow_pickle=True)
    refused(own, f"{name} holds Python objects, .*; refused: save it as uint")
    (own / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(own, f"{name} cannot be read as npy")
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()  # the trap works where it is opened


@pytest.mark.parametrize(
    ("name", "dtype", "said"),
    [
        (IMAGES, np.float32, "images.npy is float32 and should be uint8"),
        (IMAGES, np.uint16, "images.npy is uint16 and should be uint8"),
        (LABELS, np.float64, "labels.npy is float64 and should be uint16"),
        (LABELS, np.int16, "labels.npy is int16 and should be uint16"),
        (LABELS, ">u2", "labels.npy is >u2 and should be uint16"),
        (LABELS, "U1", "labels.npy is <U1 and should be uint16"),
    ],
)
def test_another_type_is_refused(own, name, dtype, said):
    resave(own, name, lambda array: array.astype(dtype))
    refused(own, said)


@pytest.mark.parametrize(
    ("content", "said"),
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
def test_a_forged_header_is_refused_before_anything_is_read(own, content, said):
    (own / IMAGES).write_bytes(content)
    refused(own, said)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_in_one_line(tmp_path_factory, content, framed):
    path = tmp_path_factory.getbasetemp() / IMAGES
    path.write_bytes(npy(content.decode("latin1")) if framed else content)
    with pytest.raises(DataError, match="images.npy") as caught:
        open_array(path)
    assert "\n" not in str(caught.value)


def test_a_fortran_array_of_numpy_is_refused(own):
    resave(own, LABELS, np.asfortranarray)
    refused(own, "labels.npy is in Fortran's order, slow to read by patch: save numpy.ascontiguousarray of it")


@pytest.mark.parametrize("change", [lambda labels: labels[:5], lambda labels: np.ascontiguousarray(labels[:, :224, :224])])
def test_arrays_of_two_data_sets_are_refused(own, change):
    resave(own, LABELS, change)
    refused(own, "images.npy holds 6 patches of 256 px and labels.npy .* give the two files of one data set")


@pytest.mark.parametrize("name", [IMAGES, LABELS, COUNTS, NAMES])
def test_a_missing_or_empty_file_is_named(own, name):
    (own / name).write_bytes(b"")
    refused(own, f"{name} (is empty|cannot be read as npy)")
    (own / name).unlink()
    refused(own, f"{name}: there is no such (file|table): give the folder with images.npy")
    (own / name).mkdir()
    refused(own, f"{name} cannot be read as .* \\(.*Is a directory")


def nuclei(*rectangles):
    """Labels (64, 64, 2): nucleus n of a class in rows 10n to 10n+8."""
    labels = np.zeros((64, 64, 2), np.uint16)
    for number, kind in enumerate(rectangles, start=1):
        labels[10 * number : 10 * number + 8, :8] = number, kind
    return labels


def test_right_labels_are_counted():
    assert check_labels(nuclei(1, 3, 3, 2), "abc", "x-0").tolist() == [1, 1, 2]
    assert check_labels(nuclei(), "abc", "x-0").tolist() == [0, 0, 0]
    touching = nuclei(1, 1)
    touching[18:20, :8] = 1, 1
    assert check_labels(touching, "a", "x-0").tolist() == [2]


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (np.s_[12, 3, 1], 7, "there is class 7 and 'classes' names 6"),
        (np.s_[10:18, :8, 1], 65535, "there is class 65535"),
        (np.s_[12, 3, 1], 2, "nucleus 1 has the classes 1 and 2: give it one"),
        (np.s_[12, 3:5, 1], 0, "nucleus 1 has 2 px without a class"),
        (np.s_[20:28, :8, 1], 0, "nucleus 2 has 64 px without a class"),
        (np.s_[50, 50:53, 1], 4, "3 px have a class and no nucleus"),
        (np.s_[10:18, :8, 0], 4, "ids go to 4 and 1 is no nucleus: number them 1, 2, … without gaps"),
        (np.s_[30:38, :8, 0], 65535, "ids go to 65535 and 3 is no nucleus"),
    ],
)
def test_wrong_labels_are_named(where, value, said):
    labels = nuclei(1, 2, 3)
    labels[where] = value
    with pytest.raises(DataError, match=f"patch glas_1-0007 in labels.npy: {said}"):
        check_labels(labels, LIZARD_CLASSES, "glas_1-0007")


def right(labels, classes):
    """The rules one by one, slowly: nuclei per class, or None."""
    instances, kinds = labels[..., 0], labels[..., 1]
    ids = sorted(set(instances.ravel().tolist()) - {0})
    if ids != list(range(1, len(ids) + 1)) or kinds[instances == 0].any():
        return None
    of = [set(kinds[instances == number].tolist()) for number in ids]
    if any(len(found) > 1 or not found <= set(range(1, classes + 1)) for found in of):
        return None
    return [of.count({kind}) for kind in range(1, classes + 1)]


small = st.integers(0, 3)


@given(st.lists(st.tuples(small, small), min_size=9, max_size=9), st.integers(1, 3))
def test_labels_are_judged_as_the_rules_say(pixels, classes):
    labels = np.array(pixels, np.uint16).reshape(3, 3, 2)
    expected = right(labels, classes)
    if expected is None:
        with pytest.raises(DataError, match="patch a-0 in labels.npy"):
            check_labels(labels, "abc"[:classes], "a-0")
    else:
        assert check_labels(labels, "abc"[:classes], "a-0").tolist() == expected


def test_a_wrong_patch_is_found_among_right_ones(own):
    labels = np.load(own / LABELS)
    labels[4, ..., 1][labels[4, ..., 0] == 1] = 7
    np.save(own / LABELS, labels)
    refused(own, "patch glas_1-0000 in labels.npy: there is class 7")


def test_a_count_that_is_not_the_labels_names_patch_and_class(own):
    lines = (own / COUNTS).read_text().splitlines()
    values = lines[3].split(",")
    found = int(values[2])
    values[2] = str(found + 1)
    (own / COUNTS).write_text("\n".join([*lines[:3], ",".join(values), *lines[4:]]))
    refused(own, f"patch dpath_1-0000: counts.csv says {found + 1} lymphocyte and labels.npy has {found} in the central 224 px")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("b,a\n1,2\n", "the header is 'b,a' and 'classes' are 'a,b': set 'classes' to the header, in its order"),
        ("a\n1\n", "the header is 'a'"),
        ("a,b\n1\n", "patch 1: 1 values under 2 columns"),
        ("a,b\n1,2,3\n", "patch 1: 3 values under 2 columns"),
        ("a,b\n1,2\n3,4\n", "has 2 lines below its header and images.npy 1 patches"),
        ("a,b\n", "has 0 lines"),
        ("a,b\n1,-2\n", "patch 1: '-2' is no count"),
        ("a,b\n1,2.0\n", "patch 1: '2.0' is no count"),
        ("a,b\n1,²\n", "patch 1: '²' is no count"),
        ("a,b\n1,9999999\n", "patch 1: '9999999' is no count"),
        ("a,b\n1,\n", "patch 1: '' is no count"),
    ],
)
def test_a_wrong_table_of_counts_is_named(tmp_path, text, said):
    (tmp_path / COUNTS).write_text(text)
    with pytest.raises(DataError, match=f"counts.csv.*{said}"):
        read_counts(tmp_path / COUNTS, ("a", "b"), 1)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a_1-0", "a_1-0"], "a_1-0 names patch 1 and patch 2"),
        (["a_1-0"], "has 1 lines below its header and images.npy 2 patches"),
        (["a_1-0", "../a-0"], "patch 2: '../a-0' is no name like consep_1-0000"),
        (["/etc/a-0", "a_1-0"], "patch 1: '/etc/a-0' is no name"),
        (["a\\b-0", "a_1-0"], "is no name"),
        ([".a-0", "a_1-0"], "is no name"),
        (["a_1", "a_1-0"], "patch 1: 'a_1' is no name"),
        (["a-1-0", "a_1-0"], "patch 1: 'a-1-0' is no name"),
        (["a_1-0", "ä_1-0"], "is no name"),
        (["a_1-x", "a_1-0"], "is no name"),
        (["a_1-0,3", "a_1-1"], "patch 1: 'a_1-0,3' is no name"),
        (["a" * 200 + "-0", "a_1-0"], "is no name"),
        (['"a_1-0\n"', "a_1-1"], "is no name"),
    ],
)
def test_a_wrong_table_of_names_is_named(tmp_path, names, said):
    (tmp_path / NAMES).write_text("\n".join(["patch_info", *names]) + "\n")
    with pytest.raises(DataError, match=f"patch_info.csv.*{said}"):
        read_names(tmp_path / NAMES, 2)


def test_tables_as_spreadsheets_write_them(tmp_path):
    (tmp_path / NAMES).write_bytes("\ufeffpatch_info\r\na_1-0\r\na_1-1\r\n\r\n".encode())
    assert read_names(tmp_path / NAMES, 2) == ("a_1-0", "a_1-1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name\na_1-0\n", "the header should be 'patch_info' and is 'name'"),
        (b"patch_info\n\xff\xfe\n", "cannot be read as a csv table"),
        (b'patch_info\n"' + b"x" * 200_000 + b'"\n', "cannot be read as a csv table"),
        (b"patch_info\n" + b"\n" * 2**24, "too many for a table of patches: refused"),
        (b"\n\n", "patch_info.csv is empty"),
    ],
)
def test_no_table_of_names(tmp_path, content, said):
    (tmp_path / NAMES).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_names(tmp_path / NAMES, 1)


def test_a_header_of_numpy_is_what_the_forged_ones_imitate(tmp_path):
    """The helper above makes what numpy makes, so that a refusal is of what was forged."""
    file = io.BytesIO()
    np.save(file, np.zeros((2, 64, 64, 3), np.uint8))
    (tmp_path / IMAGES).write_bytes(declares("(2, 64, 64, 3)"))
    assert np.array_equal(open_array(tmp_path / IMAGES), np.load(io.BytesIO(file.getvalue())))
