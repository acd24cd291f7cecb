"""Staging copies what is absent or changed, proves it, and says what is gone."""

import hashlib
import os

import pytest
from msi_jobs import CARD, SETTINGS_HASH, plant, slide_row, training_job, write_table
from pathology.commands.stage import main
from pathology.contracts.errors import DataError
from pathology.contracts.settings_msi import StageFeatures

CHECKPOINT = b"weights"


@pytest.fixture
def staged(tmp_path, monkeypatch):
    """A job over three patients' features (four slides) and an encoder; call it to run it."""
    uris = tmp_path / "uris"
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(uris))
    _, rows = plant(uris, patients=3, positives=1)
    encoder = uris / "s3" / "bucket" / "encoder"
    encoder.mkdir(parents=True)
    card = CARD.model_copy(update={"sha256": hashlib.sha256(CHECKPOINT).hexdigest()})
    (encoder / "encoder.json").write_bytes(card.to_json())
    (encoder / "checkpoint.pth").write_bytes(CHECKPOINT)
    channels = {
        "slides": write_table(tmp_path / "slides", "slides.csv", [*rows, slide_row("gone", "failed")]),
        "features_destination": tmp_path / "efs" / "features",
        "models_destination": tmp_path / "efs" / "models",
    }
    job = training_job(tmp_path / "ml", StageFeatures(encoder="s3://bucket/encoder"), channels)
    return lambda: main(job)


@pytest.fixture
def efs(tmp_path):
    return tmp_path / "efs"


@pytest.fixture
def bucket(tmp_path):
    return tmp_path / "uris" / "s3" / "bucket"


def test_copies_once_and_only_what_changed(staged, efs, bucket, capsys):
    staged()
    assert "features: 4 copied" in (out := capsys.readouterr().out) and "encoder: 2 copied" in out
    for path in (bucket / "features" / SETTINGS_HASH).glob("*.h5"):
        assert (efs / "features" / SETTINGS_HASH / path.name).read_bytes() == path.read_bytes()
    assert (efs / "models" / "tiny" / "checkpoint.pth").read_bytes() == CHECKPOINT

    staged()
    assert capsys.readouterr().out == "features: 0 copied (0 bytes), 4 unchanged\nencoder: 0 copied (0 bytes), 2 unchanged\n"

    damaged = efs / "features" / SETTINGS_HASH / "P001-0.h5"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"x" * len(whole))
    staged()
    assert "features: 1 copied" in capsys.readouterr().out
    assert damaged.read_bytes() == whole
    assert not list(efs.rglob(".*"))


def test_a_touched_copy_is_hashed_not_fetched(staged, efs, bucket, capsys):
    staged()
    os.utime(efs / "features" / SETTINGS_HASH / "P001-0.h5", (1, 1))
    (bucket / "features" / SETTINGS_HASH / "P001-0.h5").unlink()
    staged()
    assert "features: 0 copied" in capsys.readouterr().out.split("encoder: 2 copied")[1]


@pytest.mark.parametrize("damage", ["unlink", "change"])
def test_a_feature_file_gone_or_changed_is_named(staged, efs, bucket, damage):
    path = bucket / "features" / SETTINGS_HASH / "P002-0.h5"
    path.unlink() if damage == "unlink" else path.write_bytes(b"other")
    with pytest.raises(DataError, match="slide P002-0: .*features/.*P002-0.h5.* (gone since|it changed)"):
        staged()
    assert not (efs / "features" / SETTINGS_HASH / "P002-0.h5").exists()


def test_a_checkpoint_that_is_not_the_cards_leaves_no_card(staged, efs, bucket):
    staged()
    (bucket / "encoder" / "encoder.json").write_bytes(CARD.to_json())  # another sha256, the same checkpoint
    with pytest.raises(DataError, match="encoder tiny: s3://bucket/encoder/checkpoint.pth has the sha256"):
        staged()
    assert not (efs / "models" / "tiny" / "encoder.json").exists()
