"""Reading MHIST's prepared patches: the table, and each patch by its hash or by its name; what is wrong is named."""

import shutil

import numpy as np
import pytest
from patch_sets import write_patches
from pathology.contracts.errors import DataError
from pathology.contracts.mhist.patches import LABELS, MhistPatchRow
from pathology.patches.dataset import Patches, patch_path, read_patch
from pathology.tasks.mhist.dataset import read_patches
from PIL import Image

COUNTS = {"train": 8, "validation": 4, "test": 4}
FIRST = "train_0000.png"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Patches as preparing leaves them: their folder and their rows."""
    folder = tmp_path_factory.mktemp("prepared")
    return folder, write_patches(folder, COUNTS)


def write(path, rows):
    path.write_bytes(MhistPatchRow.table(rows))
    return path


def test_patches_csv_is_read_as_written(prepared, tmp_path):
    _, rows = prepared
    assert read_patches(write(tmp_path / "patches.csv", rows)) == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows, rows[0]], rf"patch {FIRST} is duplicated"),
        (lambda rows: [row for row in rows if row.split != "validation"], "no HP patch is in the split validation"),
        (lambda rows: [row for row in rows if (row.split, row.label) != ("test", 1)], "no SSA patch is in the split test"),
        (lambda rows: [], "no HP patch is in the split train"),
    ],
)
def test_tables_of_patches_that_cannot_be_used(prepared, tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read_patches(write(tmp_path / "patches.csv", change(prepared[1])))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",test,", ",dev,", "line .*: split"),
        (FIRST, "../x.png", "line 2: image"),
        ("image,sha256", "name,sha256", "the column 'image' is missing"),
        ("\n", ",more\n", "line "),
    ],
)
def test_a_table_of_patches_edited_by_hand(prepared, tmp_path, old, new, message):
    text = MhistPatchRow.table(prepared[1]).decode()
    (tmp_path / "patches.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_patches(tmp_path / "patches.csv")
    (tmp_path / "patches.csv").write_bytes(text.encode() + b"\xff")
    with pytest.raises(DataError, match="cannot be read as a csv table"):
        read_patches(tmp_path / "patches.csv")


def test_patches_by_index(prepared):
    root, rows = prepared
    patches = Patches(root, rows, 224)
    assert (
        len(patches) == sum(COUNTS.values())
        and patches.labels.dtype == np.int64
        and patches.labels.tolist() == [row.label for row in rows]
    )
    assert LABELS[patches.labels.max()] == "SSA"
    expected = np.array(Image.open(root / rows[5].image).convert("RGB"))
    assert (
        patches[5].dtype == np.uint8 and np.array_equal(patches[5], expected) and np.array_equal(patches[5 - len(rows)], expected)
    )
    assert Patches(root, rows, 112)[5].shape == (112, 112, 3)
    with pytest.raises(IndexError):
        patches[len(rows)]


def test_a_staged_patch_comes_before_one_by_name(prepared, tmp_path):
    root, rows = prepared
    row = rows[0]
    assert patch_path(root, row) == root / row.image
    staged = tmp_path / row.staged
    assert staged == tmp_path / row.sha256[:2] / f"{row.sha256}.png"
    staged.parent.mkdir()
    shutil.copy(root / row.image, staged)
    assert patch_path(tmp_path, row) == staged
    assert np.array_equal(read_patch(tmp_path, row, 224), read_patch(root, row, 224))


def test_a_patch_gone_or_changed_is_named(prepared, tmp_path):
    root, rows = prepared
    with pytest.raises(DataError, match=rf"patch {FIRST}: .* cannot be read \(No such file or directory\): stage"):
        read_patch(tmp_path, rows[0], 224)
    shutil.copy(root / rows[1].image, tmp_path / FIRST)
    with pytest.raises(DataError, match=rf"patch {FIRST}: .* is not the file that was prepared"):
        read_patch(tmp_path, rows[0], 224)
