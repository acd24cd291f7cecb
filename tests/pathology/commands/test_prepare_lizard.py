"""PrepareLizard as a job: four files in, three tables out; nothing that looks finished from bad data."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from lizard_jobs import DATASET_URI, prepare
from msi_jobs import strict_json
from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.staging import StagingRow, read_staging
from pathology.tasks.lizard.dataset import Nuclei, read_prepared

from demo.nuclei import make_nuclei

PATCHES, SOURCES = 12, 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("lizard")
    make_nuclei(top, PATCHES, sources=SOURCES)
    return top


def test_four_files_become_tables_and_a_summary(tmp_path, made, capsys):
    folder = prepare(tmp_path, made)
    rows, dataset = read_prepared(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset.json",
        "patches.csv",
        "staging.csv",
    ]  # the arrays are not copied
    content = strict_json(folder / "dataset.json")
    assert content["images_sha256"] == sha256_of(made / "images.npy") and content["labels_sha256"] == sha256_of(
        made / "labels.npy"
    )
    assert content["settings"]["fold"] == 0 and len(rows) == PATCHES == sum(
        side["patches"] for side in content["splits"].values()
    )
    assert Nuclei(made, rows, dataset)[0][0].shape == (256, 256, 3)
    out = capsys.readouterr().out
    assert "train " in out and "validation " in out and "test            4 patches of 2 source images" in out


def test_the_arrays_are_to_be_staged_by_their_content(tmp_path, made):
    """Where the request says the data set lies in S3, by the hashes that dataset.json has, and under names that training finds."""
    folder = prepare(tmp_path, made)
    rows, dataset = read_prepared(folder)
    hashes = {"images.npy": dataset.images_sha256, "labels.npy": dataset.labels_sha256}
    staged = read_staging(folder / "staging.csv")
    assert staged == [
        StagingRow(uri=f"{DATASET_URI}/{name}", sha256=sha256, target=f"{sha256}.npy") for name, sha256 in hashes.items()
    ]
    for row in staged:
        shutil.copy(made / row.uri.rpartition("/")[2], tmp_path / row.target)
    theirs, ours = Nuclei(made, rows, dataset), Nuclei(tmp_path, rows, dataset)
    for index in range(PATCHES):
        assert all(np.array_equal(one, other) for one, other in zip(theirs[index], ours[index], strict=True))


def test_the_same_bytes_twice_and_others_from_another_fold(tmp_path, made):
    first, second, other = (prepare(tmp_path / name, made, fold=fold) for name, fold in (("a", 0), ("b", 0), ("c", 4)))
    for name in ("patches.csv", "dataset.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes() != (other / name).read_bytes()


def test_real_patches_with_their_own_classes(tmp_path, shared_data, capsys):
    folder = shared_data / "nuclei"
    if not folder.is_dir():
        pytest.skip("real nuclei are absent")
    rows, dataset = read_prepared(prepare(tmp_path, folder, classes="non_tumor,tumor"))
    assert len(rows) == 10 and dataset.classes == ("non_tumor", "tumor") and dataset.pooled == ()
    assert {name: side.patches for name, side in dataset.splits.items()} == {"train": 7, "validation": 1, "test": 2}
    assert "test            2 patches of 2 source images, 114 nuclei" in capsys.readouterr().out


def test_other_data_is_refused_unless_it_is_meant(tmp_path, made):
    with pytest.raises(DataError, match="set 'published-counts' to false for other data"):
        prepare(tmp_path, made, published_counts=True)
    assert not list((tmp_path / "patches").glob("*"))


def test_a_bad_patch_leaves_no_table(tmp_path, made):
    bad = tmp_path / "in"
    shutil.copytree(made, bad)
    labels = np.load(bad / "labels.npy")
    labels[7, ..., 1][labels[7, ..., 0] == 3] = 7
    np.save(bad / "labels.npy", labels)
    with pytest.raises(DataError, match=r"patch crag_2-0001 in labels\.npy: there is class 7"):
        prepare(tmp_path / "ml", bad)
    assert not list((tmp_path / "ml" / "patches").glob("*")) and not list((tmp_path / "ml").rglob(".*"))


def test_preparing_needs_no_torch():
    code = "import sys, pathology.commands.prepare_lizard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
