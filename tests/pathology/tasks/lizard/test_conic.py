"""CoNIC's four files: what is right is mapped and counted, what is wrong is named in one line."""

import numpy as np
import pytest
from conic_files import PATCHES, refused, resave
from hypothesis import given
from hypothesis import strategies as st
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.nuclei.counts import central_counts
from pathology.tasks.lizard import conic as conic_files
from pathology.tasks.lizard.arrays import IMAGES, LABELS
from pathology.tasks.lizard.conic import COUNTS, NAMES, check_labels, read_conic, read_counts, read_names

FIRST = "crag_1-0000"


def test_a_data_set_is_mapped_and_counted(conic_folder):
    conic = read_conic(conic_folder, LIZARD_CLASSES)
    assert isinstance(conic.images, np.memmap) and isinstance(conic.labels, np.memmap) and not conic.images.flags.writeable
    assert np.array_equal(conic.images, np.load(conic_folder / IMAGES)) and np.array_equal(
        conic.labels, np.load(conic_folder / LABELS)
    )
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


def test_progress_is_said(conic_folder, capsys, monkeypatch):
    monkeypatch.setattr(conic_files, "PROGRESS", 4)
    read_conic(conic_folder, LIZARD_CLASSES)
    assert capsys.readouterr().out == f"checked 4 of {PATCHES} patches\n"


def test_identical_patches_are_found(copied):
    def copy(images):
        images[5] = images[1]
        return images

    resave(copied, IMAGES, copy)
    assert read_conic(copied, LIZARD_CLASSES).identical == (("crag_1-0001", "glas_1-0001"),)


def test_smaller_patches_of_other_data(copied):
    """64 px are less than the centre: all nuclei count."""
    resave(copied, IMAGES, lambda images: np.ascontiguousarray(images[:, :64, :64]))
    labels = np.zeros((PATCHES, 64, 64, 2), np.uint16)
    labels[:, :3, :3] = 1, 2
    np.save(copied / LABELS, labels)
    (copied / COUNTS).write_text("tumor,other\n" + "0,1\n" * PATCHES)
    conic = read_conic(copied, ("tumor", "other"))
    assert conic.side == 64 and conic.nuclei.tolist() == [[0, 1]] * PATCHES


@pytest.mark.parametrize("change", [lambda labels: labels[:5], lambda labels: np.ascontiguousarray(labels[:, :224, :224])])
def test_arrays_of_two_data_sets_are_refused(copied, change):
    resave(copied, LABELS, change)
    refused(copied, "images.npy holds 6 patches of 256 px and labels.npy .* give the two files of one data set")


@pytest.mark.parametrize("name", [IMAGES, LABELS, COUNTS, NAMES])
def test_a_missing_or_empty_file_is_named(copied, name):
    (copied / name).write_bytes(b"")
    refused(copied, f"{name} (is empty|cannot be read as npy)")
    (copied / name).unlink()
    refused(copied, f"{name}: there is no such (file|table): give the folder with images.npy")
    (copied / name).mkdir()
    refused(copied, f"{name} cannot be read as .* \\(.*Is a directory")


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
    ("where", "value", "message"),
    [
        (np.s_[12, 3, 1], 7, "there is class 7 and 'classes' names 6"),
        (np.s_[10:18, :8, 1], 65535, "there is class 65535"),
        (np.s_[12, 3, 1], 2, "nucleus 1 has the classes 1 and 2: give it one"),
        (np.s_[12, 3:5, 1], 0, "nucleus 1 has 2 px without a class"),
        (np.s_[20:28, :8, 1], 0, "nucleus 2 has 64 px without a class"),
        (np.s_[50, 50:53, 1], 4, "3 px have a class and no nucleus"),
        (np.s_[10:18, :8, 0], 4, "ids go to 4 and 1 is not a nucleus: number them 1, 2, … without gaps"),
        (np.s_[30:38, :8, 0], 65535, "ids go to 65535 and 3 is not a nucleus"),
    ],
)
def test_wrong_labels_are_named(where, value, message):
    labels = nuclei(1, 2, 3)
    labels[where] = value
    with pytest.raises(DataError, match=f"patch glas_1-0007 in labels.npy: {message}"):
        check_labels(labels, LIZARD_CLASSES, "glas_1-0007")


def right(labels, classes):
    """The rules one by one, slowly: nuclei per class, or None."""
    instances, kinds = labels[..., 0], labels[..., 1]
    ids = sorted(set(instances.ravel().tolist()) - {0})
    if ids != list(range(1, len(ids) + 1)) or kinds[instances == 0].any():
        return None
    of = [set(kinds[instances == number].tolist()) for number in ids]
    if any(len(kinds_of) > 1 or not kinds_of <= set(range(1, classes + 1)) for kinds_of in of):
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


def test_a_wrong_patch_is_found_among_right_ones(copied):
    labels = np.load(copied / LABELS)
    labels[4, ..., 1][labels[4, ..., 0] == 1] = 7
    np.save(copied / LABELS, labels)
    refused(copied, "patch glas_1-0000 in labels.npy: there is class 7")


def test_a_count_that_is_not_the_labels_names_patch_and_class(copied):
    lines = (copied / COUNTS).read_text().splitlines()
    values = lines[3].split(",")
    counted = int(values[2])
    values[2] = str(counted + 1)
    (copied / COUNTS).write_text("\n".join([*lines[:3], ",".join(values), *lines[4:]]))
    refused(
        copied, f"patch dpath_1-0000: counts.csv says {counted + 1} lymphocyte and labels.npy has {counted} in the central 224 px"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b,a\n1,2\n", "the header is 'b,a' and 'classes' are 'a,b': set 'classes' to the header, in its order"),
        ("a\n1\n", "the header is 'a'"),
        ("a,b\n1\n", "patch 1: 1 values under 2 columns"),
        ("a,b\n1,2,3\n", "patch 1: 3 values under 2 columns"),
        ("a,b\n1,2\n3,4\n", "has 2 lines below its header and images.npy 1 patches"),
        ("a,b\n", "has 0 lines"),
        ("a,b\n1,-2\n", "patch 1: '-2' is not a count"),
        ("a,b\n1,2.0\n", "patch 1: '2.0' is not a count"),
        ("a,b\n1,²\n", "patch 1: '²' is not a count"),
        ("a,b\n1,9999999\n", "patch 1: '9999999' is not a count"),
        ("a,b\n1,\n", "patch 1: '' is not a count"),
    ],
)
def test_a_wrong_table_of_counts_is_named(tmp_path, text, message):
    (tmp_path / COUNTS).write_text(text)
    with pytest.raises(DataError, match=f"counts.csv.*{message}"):
        read_counts(tmp_path / COUNTS, ("a", "b"), 1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a_1-0", "a_1-0"], "a_1-0 names patch 1 and patch 2"),
        (["a_1-0"], "has 1 lines below its header and images.npy 2 patches"),
        (["a_1-0", "../a-0"], "patch 2: '../a-0' is not a name like consep_1-0000"),
        (["/etc/a-0", "a_1-0"], "patch 1: '/etc/a-0' is not a name"),
        (["a\\b-0", "a_1-0"], "is not a name"),
        ([".a-0", "a_1-0"], "is not a name"),
        (["a_1", "a_1-0"], "patch 1: 'a_1' is not a name"),
        (["a-1-0", "a_1-0"], "patch 1: 'a-1-0' is not a name"),
        (["a_1-0", "ä_1-0"], "is not a name"),
        (["a_1-x", "a_1-0"], "is not a name"),
        (["a_1-0,3", "a_1-1"], "patch 1: 'a_1-0,3' is not a name"),
        (["a" * 200 + "-0", "a_1-0"], "is not a name"),
        (['"a_1-0\n"', "a_1-1"], "is not a name"),
    ],
)
def test_a_wrong_table_of_names_is_named(tmp_path, names, message):
    (tmp_path / NAMES).write_text("\n".join(["patch_info", *names]) + "\n")
    with pytest.raises(DataError, match=f"patch_info.csv.*{message}"):
        read_names(tmp_path / NAMES, 2)


def test_tables_as_spreadsheets_write_them(tmp_path):
    (tmp_path / NAMES).write_bytes("\ufeffpatch_info\r\na_1-0\r\na_1-1\r\n\r\n".encode())
    assert read_names(tmp_path / NAMES, 2) == ("a_1-0", "a_1-1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name\na_1-0\n", "the header should be 'patch_info' and is 'name'"),
        (b"patch_info\n\xff\xfe\n", "cannot be read as a csv table"),
        (b'patch_info\n"' + b"x" * 200_000 + b'"\n', "cannot be read as a csv table"),
        (b"patch_info\n" + b"\n" * 2**24, "too many for a table of patches: refused"),
        (b"\n\n", "patch_info.csv is empty"),
    ],
)
def test_no_table_of_names(tmp_path, content, message):
    (tmp_path / NAMES).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_names(tmp_path / NAMES, 1)
