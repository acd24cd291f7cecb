"""Staging copies what staging.csv names and is absent or changed, proves it by hash, and says what is gone."""

import dataclasses
import hashlib
import os

import pytest
from msi_jobs import MANIFEST, training_job, write_table
from pathology.commands.stage import main
from pathology.contracts.errors import DataError
from pathology.contracts.staging import Stage, StagingRow

CHECKPOINT = b"weights"
FILES = {f"images/{name}.png": f"pixels of {name}".encode() for name in ("a", "b", "c", "d")}
"""Below s3://bucket."""


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def row(name, target=None):
    return StagingRow(uri=f"s3://bucket/{name}", sha256=sha256(FILES[name]), target=target or f"set/{name.rpartition('/')[2]}")


class Staging:
    """A store with four files and an encoder, an EFS to copy to; call :meth:`run` to stage ``rows``."""

    def __init__(self, root, encoder="s3://bucket/encoder"):
        self.root, self.bucket, self.efs = root, root / "uris" / "s3" / "bucket", root / "efs"
        manifest = MANIFEST.model_copy(update={"sha256": sha256(CHECKPOINT)})
        for name, content in {**FILES, "encoder/encoder.json": manifest.to_json(), "encoder/checkpoint.pth": CHECKPOINT}.items():
            (self.bucket / name).parent.mkdir(parents=True, exist_ok=True)
            (self.bucket / name).write_bytes(content)
        self.data, self.models = self.efs / "data", self.efs / "models"
        channels = {
            "staging": root / "staging",
            "data_destination": self.data,
            "models_destination": self.models,
            "encoder": self.prepared(manifest),
        }
        self.job = training_job(root / "ml", Stage(encoder=encoder), channels)
        self.table([row(name) for name in FILES])

    def prepared(self, manifest):
        """The manifest that was prepared with."""
        folder = self.root / "encoder"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "encoder.json").write_bytes(manifest.to_json())
        return folder

    def table(self, rows):
        """Write staging.csv, beside what else preparing and collecting leave in its folder."""
        write_table(self.root / "staging", "staging.csv", rows)
        (self.root / "staging" / "dataset.json").write_text("{}")

    def run(self):
        main(self.job)


@pytest.fixture
def staging(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(tmp_path / "uris"))
    return Staging(tmp_path)


def test_copies_once_and_only_what_changed(staging, capsys):
    staging.run()
    size = sum(map(len, FILES.values()))
    assert f"files: 4 copied ({size:,} bytes), 0 unchanged\nencoder: 2 copied" in capsys.readouterr().out
    for name, content in FILES.items():
        assert (staging.data / "set" / name.rpartition("/")[2]).read_bytes() == content
    assert (staging.models / "tiny" / "checkpoint.pth").read_bytes() == CHECKPOINT
    assert (staging.models / "tiny" / "encoder.json").read_bytes() == (staging.bucket / "encoder" / "encoder.json").read_bytes()

    staging.run()
    assert capsys.readouterr().out == "files: 0 copied (0 bytes), 4 unchanged\nencoder: 0 copied (0 bytes), 2 unchanged\n"

    damaged = staging.data / "set" / "b.png"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    staging.run()
    assert "files: 1 copied" in capsys.readouterr().out
    assert damaged.read_bytes() == FILES["images/b.png"]
    assert not list(staging.efs.rglob(".*"))


def test_a_touched_copy_is_hashed_not_fetched(staging, capsys):
    staging.run()
    os.utime(staging.data / "set" / "b.png", (1, 1))
    (staging.bucket / "images" / "b.png").unlink()
    capsys.readouterr()
    staging.run()
    assert "files: 0 copied (0 bytes), 4 unchanged" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_file_gone_or_changed_is_named(staging, damage):
    path = staging.bucket / "images" / "c.png"
    path.unlink() if damage == "gone" else path.write_bytes(b"other")
    with pytest.raises(DataError, match=r"c\.png: s3://bucket/images/c\.png.* (gone since|it changed)") as caught:
        staging.run()
    assert "\n" not in str(caught.value)
    assert not (staging.data / "set" / "c.png").exists() and not list(staging.efs.rglob(".*"))
    assert not staging.models.exists()


def test_two_rows_of_one_content_are_one_file(staging, capsys):
    """Two pictures of the same bytes are staged by their hash: whichever of the objects is taken, the file is theirs."""
    content = FILES["images/a.png"]
    (staging.bucket / "images" / "copy.png").write_bytes(content)
    first = row("images/a.png", target="aa/content.png")
    staging.table([first, first.model_copy(update={"uri": "s3://bucket/images/copy.png"}), row("images/b.png")])
    staging.run()
    assert "files: 2 copied" in capsys.readouterr().out
    assert (staging.data / "aa" / "content.png").read_bytes() == content


def test_a_target_of_two_contents_is_refused_before_anything_is_copied(staging):
    staging.table([row("images/a.png", target="same.png"), row("images/b.png", target="same.png")])
    with pytest.raises(
        DataError, match=r"same\.png is to hold s3://bucket/images/a\.png and s3://bucket/images/b\.png, which differ"
    ):
        staging.run()
    assert not staging.efs.exists()


@pytest.mark.parametrize("target", ["../out.png", "/etc/out.png", "a/../b.png", "a//b.png", ".hidden", "a/.b", "a\\b", ""])
def test_a_target_outside_the_destination_is_refused(staging, target):
    text = (staging.root / "staging" / "staging.csv").read_text()
    (staging.root / "staging" / "staging.csv").write_text(text.replace("set/a.png", target))
    with pytest.raises(DataError, match=r"staging\.csv, line 2: target"):
        staging.run()
    assert not staging.efs.exists()


def test_an_encoder_that_changed_since_the_run_began_is_refused(staging):
    staging.run()
    before = (staging.models / "tiny" / "encoder.json").read_bytes()
    (staging.bucket / "encoder" / "encoder.json").write_bytes(MANIFEST.to_json())
    with pytest.raises(DataError, match=r"s3://bucket/encoder/encoder\.json is not what it was when the run began: start again"):
        staging.run()
    assert (staging.models / "tiny" / "encoder.json").read_bytes() == before


def test_a_checkpoint_that_is_not_the_manifests_leaves_no_manifest(staging):
    staging.run()
    (staging.bucket / "encoder" / "encoder.json").write_bytes(MANIFEST.to_json())  # another sha256, the same checkpoint
    staging.prepared(MANIFEST)
    with pytest.raises(DataError, match="encoder tiny: s3://bucket/encoder/checkpoint.pth has the sha256"):
        staging.run()
    assert not (staging.models / "tiny" / "encoder.json").exists()


def test_other_hosts_leave_it_to_the_first(staging, capsys):
    main(dataclasses.replace(staging.job, host="algo-2", hosts=("algo-1", "algo-2")))
    assert capsys.readouterr().out == "algo-2: staging is the first host's work\n"
    assert not staging.efs.exists()
