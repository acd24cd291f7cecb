"""PrepareMhist as a job: a table and a zip in, checked patches, patches.csv and staging.csv out; nothing that looks finished from bad data."""

import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from msi_jobs import MANIFEST, strict_json, training_job
from pathology.commands.prepare_mhist import main
from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.mhist.prepare import PrepareMhistJob
from pathology.contracts.staging import Stage, StagingRow
from pathology.patches.dataset import Patches
from pathology.tasks.mhist.dataset import read_patches
from prepare_jobs import ENCODER, gather, handed_on, run_prepare

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
    data = {"annotations": made / "annotations", "images": made / "images"}
    handed = run_prepare(main, root, root / "uris", PrepareMhistJob, data, **{"published_counts": False, **settings})
    return gather(root / "patches", handed, "patches", "staging"), gather(root / "images", handed, "images")


def test_a_table_and_a_zip_become_patches(tmp_path, made, capsys):
    patches, images = prepare(tmp_path, made)
    rows = read_patches(patches / "patches.csv")
    assert sorted(path.name for path in patches.iterdir()) == ["dataset.json", "patches.csv", "staging.csv"]
    assert sorted(path.name for path in images.iterdir()) == [row.image for row in rows] and len(rows) == COUNT
    figures = strict_json(patches / "dataset.json")
    assert figures["patches"] == COUNT and figures["splits"]["validation"]["patches"] == sum(
        row.split == "validation" for row in rows
    )
    assert Patches(images, rows, 224)[0].shape == (224, 224, 3)
    out = capsys.readouterr().out
    assert "train " in out and "validation " in out and "SSA (3" in out


def test_staging_csv_names_each_file_where_it_will_lie_and_staging_reads_it(tmp_path, made, monkeypatch, capsys):
    """Patches read from EFS are those that were prepared, two of the same bytes from one file."""
    from pathology.commands import stage

    doubled = shutil.copytree(made, tmp_path / "in")
    with zipfile.ZipFile(made / "images" / "images.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    first, second = sorted(contents)[:2]
    with zipfile.ZipFile(doubled / "images" / "images.zip", "w") as archive:
        for name, content in {**contents, second: contents[first]}.items():
            archive.writestr(name, content)
    patches, images = prepare(tmp_path / "ml", doubled)
    rows = read_patches(patches / "patches.csv")
    where = handed_on(tmp_path / "ml")["images"]["uri"]
    assert StagingRow.read(patches / "staging.csv") == [
        StagingRow(uri=f"{where}{row.image}", sha256=row.sha256, target=f"{row.sha256[:2]}/{row.sha256}.png") for row in rows
    ]

    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(tmp_path / "ml" / "uris"))
    staged, encoder = tmp_path / "efs", tmp_path / "ml" / "uris" / "s3" / "bucket" / "encoder"
    (encoder / "encoder.json").write_bytes(
        MANIFEST.model_copy(update={"sha256": sha256_of(encoder / "checkpoint.pth")}).to_json()
    )
    channels = {"staging": patches, "encoder": encoder, "data_destination": staged, "models_destination": tmp_path / "models"}
    stage.main(training_job(tmp_path / "stage", Stage(encoder=ENCODER), channels))
    assert f"files: {COUNT - 1} copied" in capsys.readouterr().out
    from_output, from_efs = (Patches(root, rows, 224) for root in (images, staged))
    assert all(np.array_equal(from_output[index], from_efs[index]) for index in range(COUNT))
    assert not any((staged / row.image).exists() for row in rows)


def test_the_same_bytes_twice_and_others_from_another_seed(tmp_path, made):
    first, second, other = (prepare(tmp_path / name, made, split_seed=seed)[0] for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    for name in ("patches.csv", "dataset.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes() != (other / name).read_bytes()
    assert len({(folder / "staging.csv").read_bytes() for folder in (first, second, other)}) == 1  # the same files on any side


def test_a_subset_is_refused_unless_it_is_meant(tmp_path, made):
    with pytest.raises(DataError, match="set 'published-counts' to false for a subset"):
        prepare(tmp_path, made, published_counts=True)
    assert not list((tmp_path / "patches").glob("*"))


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
    with pytest.raises(DataError, match=r"s3://bucket/annotations should be one \.csv and holds 2: give the URI of one"):
        prepare(tmp_path / "ml", bad)


def test_preparing_needs_no_torch():
    code = "import sys, pathology.commands.prepare_mhist, PIL.Image; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
