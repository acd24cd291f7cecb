"""PrepareLizard as a job: four files in, patches.csv and dataset.json out; nothing that looks finished from bad data."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from msi_jobs import processing_job, strict_json
from pathology.commands.prepare_lizard import main
from pathology.contracts.errors import DataError
from pathology.contracts.features import sha256_of
from pathology.contracts.settings_lizard import PrepareLizard
from pathology.datasets.conic import Nuclei, read_prepared

from demo.nuclei import make_nuclei

PATCHES, SOURCES = 12, 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("lizard")
    make_nuclei(top, PATCHES, sources=SOURCES)
    return top


def prepare(root, dataset, **settings):
    settings = PrepareLizard(**{"published_counts": False, **settings})
    main(processing_job(root, settings, {"dataset": dataset}, ("patches",)))
    return root / "patches"


def test_four_files_become_a_table_and_a_summary(tmp_path, made, capsys):
    folder = prepare(tmp_path, made)
    rows, dataset = read_prepared(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "patches.csv"]  # the arrays are not copied
    found = strict_json(folder / "dataset.json")
    assert found["images_sha256"] == sha256_of(made / "images.npy") and found["labels_sha256"] == sha256_of(made / "labels.npy")
    assert found["settings"]["fold"] == 0 and len(rows) == PATCHES == sum(side["patches"] for side in found["splits"].values())
    assert Nuclei(made, rows, dataset)[0][0].shape == (256, 256, 3)
    out = capsys.readouterr().out
    assert "train " in out and "validation " in out and "test            4 patches of 2 source images" in out


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
    assert {name: found.patches for name, found in dataset.splits.items()} == {"train": 7, "validation": 1, "test": 2}
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
