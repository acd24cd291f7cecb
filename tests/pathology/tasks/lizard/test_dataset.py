"""A prepared data set: its two files belong together, its arrays are proven, patches come by index from either layout."""

import pickle
import shutil

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.patches import LIZARD_CLASSES, NucleiDataset, NucleiPatchRow
from pathology.contracts.lizard.prepare import PrepareLizard
from pathology.nuclei.counts import central_counts
from pathology.tasks.lizard import dataset as conic
from pathology.tasks.lizard.arrays import IMAGES, LABELS, staged_name
from pathology.tasks.lizard.dataset import Nuclei, array_path, read_patches, read_prepared
from pathology.tasks.lizard.prepare import describe, prepare

from demo.nuclei import make_nuclei

PATCHES, SOURCES = 14, 7
OTHER = PrepareLizard(published_counts=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("conic")
    make_nuclei(top, PATCHES, seed=2, sources=SOURCES)
    return top


@pytest.fixture(scope="module")
def prepared(made):
    return prepare(made, OTHER)


def write(folder, rows, dataset):
    folder.mkdir(exist_ok=True)
    (folder / "patches.csv").write_bytes(NucleiPatchRow.table(rows))
    (folder / "dataset.json").write_bytes(dataset.to_json())
    return folder


def test_figures_are_the_data_sets(made, prepared):
    rows, dataset = prepared
    assert dataset.classes == LIZARD_CLASSES and (dataset.patches, dataset.side) == (PATCHES, 256) and dataset.identical == ()
    assert sum(side.patches for side in dataset.splits.values()) == PATCHES
    assert {name: side.sources for name, side in dataset.splits.items()} == {"train": 4, "validation": 1, "test": 2}
    labels = np.load(made / LABELS)
    for name, side in dataset.splits.items():
        members = [row for row in rows if row.split == name]
        counts = sum(central_counts(labels[row.index], 6, side=256) for row in members)
        assert list(side.classes.values()) == counts.tolist() and side.nuclei == counts.sum() == sum(
            row.nuclei for row in members
        )


def test_the_two_files_are_read_again(tmp_path, prepared):
    rows, dataset = prepared
    assert read_prepared(write(tmp_path / "p", rows, dataset)) == (rows, dataset)
    assert read_patches(tmp_path / "p" / "patches.csv") == rows


def test_files_of_two_preparations_are_refused(tmp_path, made, prepared):
    rows, _ = prepared
    _, other = prepare(made, PrepareLizard(published_counts=False, fold=1))
    with pytest.raises(DataError, match="patches.csv is not the one that dataset.json was written with: prepare"):
        read_prepared(write(tmp_path / "p", rows, other))
    (tmp_path / "p" / "dataset.json").unlink()
    with pytest.raises(DataError, match="dataset.json: there is no such file beside patches.csv"):
        read_prepared(tmp_path / "p")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images_sha256": "0" * 63}, "images_sha256: String should match"),
        ({"images_sha256": "../../" + "0" * 58}, "images_sha256: String should match"),
        ({"side": "wide"}, "side: Input should be"),
        ({"more": 1}, "more: unknown key"),
    ],
)
def test_a_forged_dataset_is_refused(prepared, change, message):
    import json

    content = json.dumps({**json.loads(prepared[1].to_json()), **change}).encode()
    with pytest.raises(DataError, match=f"dataset.json: {message}"):
        NucleiDataset.from_json(content, "dataset.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows, rows[0]], "name crag_1-0000 is duplicated"),
        (lambda rows: [rows[0], rows[1].model_copy(update={"index": 0}), *rows[2:]], "index 0 is duplicated"),
        (lambda rows: [row for row in rows if row.split != "validation"], "no patch is in the split validation"),
        (
            lambda rows: [rows[0].model_copy(update={"source": "crag_9"}), *rows[1:]],
            "patch crag_1-0000 is said to be of crag_9, crag",
        ),
        (
            lambda rows: [rows[0].model_copy(update={"split": "test" if rows[0].split != "test" else "train"}), *rows[1:]],
            "source image crag_1 is in",
        ),
        (lambda rows: [], "no patch is in the split train"),
        (lambda rows: [rows[0].model_copy(update={"name": "../x-0"}), *rows[1:]], "line 2: name: String should match"),
    ],
)
def test_an_edited_table_is_refused(tmp_path, prepared, change, message):
    (tmp_path / "patches.csv").write_bytes(NucleiPatchRow.table(change(prepared[0])))
    with pytest.raises(DataError, match=message):
        read_patches(tmp_path / "patches.csv")


def test_bytes_that_are_no_text_are_refused(tmp_path, prepared):
    (tmp_path / "patches.csv").write_bytes(NucleiPatchRow.table(prepared[0]) + b"\xff")
    with pytest.raises(DataError, match="cannot be read as a csv table"):
        read_patches(tmp_path / "patches.csv")


def test_the_log_says_sides_pools_copies_and_what_is_absent(prepared):
    rows, dataset = prepared
    test = dataset.splits["test"]
    tested, learnt = (next(row.name for row in rows if row.split == split) for split in ("test", "train"))
    lacking = test.model_copy(update={"classes": {**test.classes, "plasma": 0, "neutrophil": 0}})
    changed = dataset.model_copy(
        update={
            "splits": {**dataset.splits, "test": lacking},
            "pooled": (("a", "b"),),
            "identical": ((rows[0].name, rows[1].name, rows[2].name), (rows[3].name, rows[4].name), (tested, learnt)),
        }
    )
    log = describe(rows, changed)
    assert f"test            4 patches of 2 source images, {test.nuclei:,} nuclei\n" in log
    assert "warning: no neutrophil and no plasma in test" in log
    assert "cohorts a and b are too small to stratify alone and count as one" in log
    assert "warning: 4 patches have the very pixels of another" in log
    assert "test patches are learnt from as well: take them out, or the evaluation refuses them" in log
    assert "warning" not in describe(rows, dataset.model_copy(update={"splits": {"train": dataset.splits["train"]}}))


def test_small_cohorts_are_pooled_and_said(prepared):
    assert prepared[1].pooled == (("dpath", "glas"),)  # 3 + 2 + 2 source images: two test images part two strata
    assert "cohorts dpath and glas are too small to stratify alone" in describe(*prepared)


def test_a_side_without_a_nucleus_is_refused(tmp_path, made, prepared):
    shutil.copytree(made, tmp_path / "copied")
    labels = np.load(made / LABELS)
    labels[[row.index for row in prepared[0] if row.split == "test"]] = 0
    np.save(tmp_path / "copied" / LABELS, labels)
    counts = "\n".join(",".join(map(str, central_counts(patch, 6))) for patch in labels)
    (tmp_path / "copied" / "counts.csv").write_text(",".join(LIZARD_CLASSES) + "\n" + counts + "\n")
    with pytest.raises(
        DataError, match="no nucleus lies in the split test: choose another 'fold' .Fold. or 'split-seed' .SplitSeed."
    ):
        prepare(tmp_path / "copied", OTHER)


def test_patches_by_index(made, prepared):
    rows, dataset = prepared
    test = [row for row in rows if row.split == "test"]
    patches = Nuclei(made, test, dataset)
    images, labels = (np.load(made / name) for name in (IMAGES, LABELS))
    assert len(patches) == len(test) == 4
    for index in (0, 3, -1):
        image, truth = patches[index]
        assert np.array_equal(image, images[test[index].index]) and np.array_equal(truth, labels[test[index].index])
        assert (image.dtype, truth.dtype) == (np.uint8, np.uint16) and image.flags.writeable and truth.flags.writeable
        assert type(image) is np.ndarray
    with pytest.raises(IndexError):
        patches[4]


def test_a_staged_array_comes_before_one_by_name(tmp_path, made, prepared):
    rows, dataset = prepared
    for name, sha256 in ((IMAGES, dataset.images_sha256), (LABELS, dataset.labels_sha256)):
        assert array_path(made, name, sha256) == made / name
        shutil.copy(made / name, tmp_path / staged_name(sha256))
        assert array_path(tmp_path, name, sha256) == tmp_path / f"{sha256}.npy"
    for ours, theirs in zip(Nuclei(tmp_path, rows, dataset), Nuclei(made, rows, dataset), strict=True):
        assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_an_array_gone_or_changed_is_named(tmp_path, made, prepared, name):
    rows, dataset = prepared
    shutil.copytree(made, tmp_path / "copied")
    array = np.load(made / name)
    array[3, 100, 100] ^= 1
    np.save(tmp_path / "copied" / name, array)
    with pytest.raises(DataError, match=f"is not the {name} that was prepared .*: stage the data set again"):
        Nuclei(tmp_path / "copied", rows, dataset)
    assert len(Nuclei(tmp_path / "copied", rows, dataset, verify=False)) == PATCHES
    (tmp_path / "copied" / name).unlink()
    with pytest.raises(DataError, match=f"{name}: there is no such file: stage"):
        Nuclei(tmp_path / "copied", rows, dataset)


def test_arrays_that_do_not_hold_the_rows_are_refused(made, prepared):
    rows, dataset = prepared
    with pytest.raises(DataError, match=r"images.npy has the shape \(14, 256, 256, 3\) and dataset.json says \(13, 256, 256\)"):
        Nuclei(made, rows, dataset.model_copy(update={"patches": 13}))
    with pytest.raises(DataError, match="patches.csv names patches beyond the 14 of images.npy"):
        Nuclei(made, [rows[0].model_copy(update={"index": 14})], dataset)


def test_another_process_gets_the_place_and_not_the_pixels(made, prepared, monkeypatch):
    rows, dataset = prepared
    patches = Nuclei(made, rows, dataset)
    content = pickle.dumps(patches)
    assert len(content) < 20_000

    def refuse(path):
        raise AssertionError(f"hashed {path} again")

    monkeypatch.setattr(conic, "sha256_of", refuse)
    again = pickle.loads(content)
    assert len(again) == PATCHES and all(np.array_equal(one, other) for one, other in zip(again[5], patches[5], strict=True))
