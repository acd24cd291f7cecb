"""Staging the arrays copies what is absent or changed, by content, proves it, and says what is gone."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
from msi_jobs import CARD, training_job
from pathology.commands.stage_lizard import main
from pathology.contracts.errors import DataError
from pathology.contracts.settings_lizard import PrepareLizard, StageLizard
from pathology.contracts.tables_lizard import NucleiPatchRow
from pathology.datasets.conic import Nuclei, prepare, staged_path

from demo.nuclei import make_nuclei

CHECKPOINT = b"weights"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    top = tmp_path_factory.mktemp("lizard")
    make_nuclei(top, 6, sources=3)
    return top, *prepare(top, PrepareLizard(published_counts=False))


class Staging:
    """A store with the data set and an encoder, an EFS to copy to; call :meth:`run` to stage."""

    def __init__(self, root, prepared, encoder="s3://bucket/encoder"):
        made, self.rows, self.dataset = prepared
        self.bucket, self.efs = root / "uris" / "s3" / "bucket", root / "efs"
        shutil.copytree(made, self.bucket / "lizard")
        (self.bucket / "encoder").mkdir()
        card = CARD.model_copy(update={"sha256": hashlib.sha256(CHECKPOINT).hexdigest()})
        (self.bucket / "encoder" / "encoder.json").write_bytes(card.to_json())
        (self.bucket / "encoder" / "checkpoint.pth").write_bytes(CHECKPOINT)
        self.patches, self.datasets = root / "patches", self.efs / "datasets"
        self.patches.mkdir()
        (self.patches / "patches.csv").write_bytes(NucleiPatchRow.table(self.rows))
        (self.patches / "dataset.json").write_bytes(self.dataset.to_json())
        channels = {"patches": self.patches, "datasets_destination": self.datasets, "models_destination": self.efs / "models"}
        self.job = training_job(root / "ml", StageLizard(dataset="s3://bucket/lizard", encoder=encoder), channels)

    def run(self):
        main(self.job)


@pytest.fixture
def staging(tmp_path, monkeypatch, prepared):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(tmp_path / "uris"))
    return Staging(tmp_path, prepared)


def test_copies_once_and_only_what_changed(staging, prepared, capsys):
    made, rows, dataset = prepared
    size = sum((made / name).stat().st_size for name in ("images.npy", "labels.npy"))
    staging.run()
    out = capsys.readouterr().out
    assert f"arrays: 2 copied ({size:,} bytes), 0 unchanged\nencoder: 2 copied" in out
    for theirs, ours in zip(Nuclei(made, rows, dataset), Nuclei(staging.datasets, rows, dataset), strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(theirs, ours, strict=True))
    assert (staging.efs / "models" / "tiny" / "checkpoint.pth").read_bytes() == CHECKPOINT

    staging.run()
    assert capsys.readouterr().out == "arrays: 0 copied (0 bytes), 2 unchanged\nencoder: 0 copied (0 bytes), 2 unchanged\n"

    damaged = staged_path(staging.datasets, dataset.labels_sha256)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    staging.run()
    assert "arrays: 1 copied" in capsys.readouterr().out
    assert hashlib.sha256(damaged.read_bytes()).hexdigest() == dataset.labels_sha256
    assert not list(staging.efs.rglob(".*"))


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_an_array_gone_or_changed_is_named(staging, name, damage):
    path = staging.bucket / "lizard" / name
    path.unlink() if damage == "gone" else path.write_bytes(b"other")
    with pytest.raises(DataError, match=f"{name}: s3://bucket/lizard/{name}.* (gone since|it changed)"):
        staging.run()
    sha256 = staging.dataset.images_sha256 if name == "images.npy" else staging.dataset.labels_sha256
    assert not staged_path(staging.datasets, sha256).exists() and not list(staging.efs.rglob(".*"))


def test_a_table_of_another_preparation_is_refused_before_anything_is_copied(staging):
    (staging.patches / "patches.csv").write_bytes(NucleiPatchRow.table(staging.rows[::-1]))
    with pytest.raises(DataError, match="is not the one that dataset.json was written with"):
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
