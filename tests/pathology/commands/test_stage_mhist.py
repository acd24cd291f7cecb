"""Staging patches copies what is absent or changed, by content, proves it, and says what is gone."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
from msi_jobs import CARD, training_job, write_table
from pathology.commands.stage_mhist import main
from pathology.contracts.errors import DataError
from pathology.contracts.settings_mhist import PrepareMhist, StageMhist
from pathology.datasets.mhist import Patches, prepare, staged_path

from demo.patches import make_patches

CHECKPOINT = b"weights"
COUNT = 40


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    top = tmp_path_factory.mktemp("mhist")
    make_patches(top, COUNT)
    return top / "out", prepare(top / "annotations.csv", top / "images", top / "out", PrepareMhist(published_counts=False))


class Staging:
    """A store with the prepared patches and an encoder, an EFS to copy to; call :meth:`run` to stage."""

    def __init__(self, root, prepared, encoder="s3://bucket/encoder"):
        images, self.rows = prepared
        self.bucket, self.efs = root / "uris" / "s3" / "bucket", root / "efs"
        shutil.copytree(images, self.bucket / "images")
        (self.bucket / "encoder").mkdir()
        card = CARD.model_copy(update={"sha256": hashlib.sha256(CHECKPOINT).hexdigest()})
        (self.bucket / "encoder" / "encoder.json").write_bytes(card.to_json())
        (self.bucket / "encoder" / "checkpoint.pth").write_bytes(CHECKPOINT)
        self.datasets = self.efs / "datasets"
        channels = {
            "patches": write_table(root / "patches", "patches.csv", self.rows),
            "datasets_destination": self.datasets,
            "models_destination": self.efs / "models",
        }
        (root / "patches" / "dataset.json").write_text("{}")  # lies beside it, as preparing leaves it
        self.job = training_job(root / "ml", StageMhist(images="s3://bucket/images", encoder=encoder), channels)

    def run(self):
        main(self.job)


@pytest.fixture
def staging(tmp_path, monkeypatch, prepared):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(tmp_path / "uris"))
    return Staging(tmp_path, prepared)


def test_copies_once_and_only_what_changed(staging, prepared, capsys):
    staging.run()
    out = capsys.readouterr().out
    assert f"patches: {COUNT} copied ({sum(row.bytes for row in staging.rows):,} bytes), 0 unchanged\nencoder: 2 copied" in out
    from_s3, from_efs = (Patches(root, staging.rows, 224) for root in (prepared[0], staging.datasets))
    assert all(np.array_equal(from_s3[index], from_efs[index]) for index in range(COUNT))
    assert (staging.efs / "models" / "tiny" / "checkpoint.pth").read_bytes() == CHECKPOINT

    staging.run()
    assert (
        capsys.readouterr().out == f"patches: 0 copied (0 bytes), {COUNT} unchanged\nencoder: 0 copied (0 bytes), 2 unchanged\n"
    )

    damaged = staged_path(staging.datasets, staging.rows[3])
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    staging.run()
    assert "patches: 1 copied" in capsys.readouterr().out
    assert hashlib.sha256(damaged.read_bytes()).hexdigest() == staging.rows[3].sha256
    assert not list(staging.efs.rglob(".*"))


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_patch_gone_or_changed_is_named(staging, damage):
    row = staging.rows[7]
    path = staging.bucket / "images" / row.image
    path.unlink() if damage == "gone" else path.write_bytes(b"other")
    with pytest.raises(DataError, match=f"patch {row.image}: s3://bucket/images/{row.image}.* (gone since|it changed)"):
        staging.run()
    assert not staged_path(staging.datasets, row).exists() and not list(staging.efs.rglob(".*"))


def test_two_names_of_one_picture_are_one_file(staging, tmp_path, capsys):
    first, second = staging.rows[:2]
    shutil.copy(staging.bucket / "images" / first.image, staging.bucket / "images" / second.image)
    rows = [first, second.model_copy(update={"sha256": first.sha256, "bytes": first.bytes}), *staging.rows[2:]]
    write_table(tmp_path / "patches", "patches.csv", rows)
    staging.run()
    assert f"patches: {COUNT - 1} copied" in capsys.readouterr().out
    assert np.array_equal(*(Patches(staging.datasets, rows, 224)[index] for index in (0, 1)))


def test_a_table_that_was_edited_is_refused_before_anything_is_copied(staging, tmp_path):
    write_table(tmp_path / "patches", "patches.csv", [*staging.rows, staging.rows[0]])
    with pytest.raises(DataError, match="stands there twice"):
        staging.run()
    assert not staging.efs.exists()


def test_an_encoder_on_efs_stays_where_it_is(tmp_path, monkeypatch, prepared, capsys):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(tmp_path / "uris"))
    staging = Staging(tmp_path, prepared, encoder="efs://fs-1/models/tiny")
    staging.run()
    assert "encoder: efs://fs-1/models/tiny is on EFS already" in capsys.readouterr().out
    assert not (staging.efs / "models").exists()


def test_other_hosts_leave_it_to_the_first(staging, capsys):
    main(dataclasses.replace(staging.job, host="algo-2", hosts=("algo-1", "algo-2")))
    assert capsys.readouterr().out == "algo-2: staging is the first host's work\n"
    assert not staging.efs.exists()
