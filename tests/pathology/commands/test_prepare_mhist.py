"""PrepareMhist as a job: a table and a zip in, checked patches and patches.csv out; nothing that looks finished from bad data."""

import shutil
import subprocess
import sys

import pytest
from msi_jobs import processing_job, strict_json
from pathology.commands.prepare_mhist import main
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.settings_mhist import PrepareMhist
from pathology.datasets.mhist import Patches, read_patches

from demo.patches import make_patches

COUNT = 50


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("mhist")
    make_patches(top, COUNT)
    (top / "annotations").mkdir()
    shutil.move(top / "annotations.csv", top / "annotations")
    return top


def prepare(root, made, **settings):
    job = processing_job(
        root,
        PrepareMhist(**{"published_counts": False, **settings}),
        {"annotations": made / "annotations", "images": made / "images"},
        ("patches", "images"),
    )
    main(job)
    return root / "patches", root / "images"


def test_a_table_and_a_zip_become_patches(tmp_path, made, capsys):
    patches, images = prepare(tmp_path, made)
    rows = read_patches(patches / "patches.csv")
    assert sorted(path.name for path in patches.iterdir()) == ["dataset.json", "patches.csv"]
    assert sorted(path.name for path in images.iterdir()) == [row.image for row in rows] and len(rows) == COUNT
    found = strict_json(patches / "dataset.json")
    assert found["patches"] == COUNT and found["splits"]["validation"]["patches"] == sum(
        row.split == "validation" for row in rows
    )
    assert Patches(images, rows, 224)[0].shape == (224, 224, 3)
    out = capsys.readouterr().out
    assert "train " in out and "validation " in out and "SSA (3" in out


def test_the_same_bytes_twice_and_others_from_another_seed(tmp_path, made):
    first, second, other = (prepare(tmp_path / name, made, seed=seed)[0] for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    for name in ("patches.csv", "dataset.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes() != (other / name).read_bytes()


def test_a_subset_is_refused_unless_it_is_meant(tmp_path, made):
    with pytest.raises(DataError, match="set 'published-counts' to false for a subset"):
        prepare(tmp_path, made, published_counts=True)
    assert not (tmp_path / "patches" / "patches.csv").exists()


def test_a_bad_zip_leaves_no_table(tmp_path, made):
    bad = tmp_path / "in"
    shutil.copytree(made, bad)
    content = bytearray((bad / "images" / "images.zip").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (bad / "images" / "images.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"MHIST_a..\.png in images\.zip cannot be read \(Bad CRC-32"):
        prepare(tmp_path / "ml", bad)
    assert not list((tmp_path / "ml" / "patches").glob("*")) and not list((tmp_path / "ml").rglob(".*"))


def test_two_tables_or_none(tmp_path, made):
    bad = tmp_path / "in"
    shutil.copytree(made, bad)
    shutil.copy(bad / "annotations" / "annotations.csv", bad / "annotations" / "copy.csv")
    with pytest.raises(RequestError, match=r"input 'annotations' should hold one \.csv and holds 2"):
        prepare(tmp_path / "ml", bad)


def test_preparing_needs_no_torch():
    code = "import sys, pathology.commands.prepare_mhist, PIL.Image; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
