"""A packed model that is asked again about its own test, by the code in it, answers as its evaluation found."""

import shutil
from pathlib import Path

import pytest
from pathology.asked import Objects
from pathology.contracts.comparison.reading import StoredEvaluation
from pathology.contracts.errors import DataError
from pathology.contracts.msi.comparison import COMPARABLE as MSI
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri
from pathology.rerun.version import Registered, ask_again

pytestmark = pytest.mark.slow


def stored(folder: Path) -> StoredEvaluation:
    """An evaluation as Compare reads it."""
    return StoredEvaluation.of(
        "the candidate", *((folder / name).read_bytes() for name in ("evaluation.json", "predictions.csv"))
    )


def again(root: Path, candidate: StoredEvaluation, task, asking, encoder: str | None = None) -> StoredEvaluation:
    model = candidate.block.model
    version = Registered(
        name="version 1",
        archive=Uri.parse(model.archive_uri),
        encoder=None if encoder is None else Uri.parse(encoder),
        model_version=model.version,
        archive_sha256=model.archive_sha256,
    )
    return ask_again(version, candidate, task, asking, Objects(FolderStore(root)), 600)


def test_msi(msi_run, tmp_path, monkeypatch):
    from pathology.tasks.msi.asking import ASKING

    root = shutil.copytree(msi_run.uris, tmp_path / "uris")
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(root))
    msi_run.evaluate(tmp_path / "job")
    bucket = root / "s3" / "bucket"
    shutil.copytree(tmp_path / "job" / "slides", bucket / "slides")
    shutil.copytree(msi_run.packed(), bucket / "model")
    candidate = stored(tmp_path / "job" / "evaluation")
    found = again(root, candidate, MSI, ASKING)
    for ours, theirs in zip(candidate.rows, found.rows, strict=True):
        assert float(theirs["probability"]) == pytest.approx(float(ours["probability"]), abs=1e-6)
        assert {**ours, "probability": ""} == {**theirs, "probability": ""}
    assert found.block.seen == candidate.block.seen and found.block.model.version == candidate.block.model.version
    (row, *_) = candidate.rows
    feature = bucket / "features" / msi_run.slides[0].settings_hash / f"{row['slide_ids'].split(';')[0]}.h5"
    feature.write_bytes(feature.read_bytes() + b"x")
    with pytest.raises(DataError, match="the process that ran version 1's artefact ended: slide .* changed since it was written"):
        again(root, candidate, MSI, ASKING)


def test_lizard(tmp_path):
    from lizard_jobs import LizardRun
    from pathology.tasks.lizard.asking import ASKING
    from pathology.tasks.lizard.comparison import COMPARABLE

    run = LizardRun(tmp_path / "run")
    run.evaluate(tmp_path / "job", seeing=False)
    bucket = tmp_path / "uris" / "s3" / "bucket"
    for name, folder in {"patches": run.patches, "dataset": run.dataset, "models": run.models}.items():
        shutil.copytree(folder, bucket / name)
    shutil.copytree(run.archive.parent, bucket / "model")
    candidate = stored(tmp_path / "job" / "evaluation")
    found = again(tmp_path / "uris", candidate, COMPARABLE, ASKING, "s3://bucket/models")
    assert found.rows == candidate.rows
    assert found.block.seen == candidate.block.seen
    compared = COMPARABLE.compared(candidate, found, FolderStore(tmp_path / "uris").read)
    assert compared.left_out.only_first == compared.left_out.other_content == compared.left_out.learned_by_second == 0
    (bucket / "dataset" / "labels.npy").write_bytes((bucket / "dataset" / "images.npy").read_bytes())
    with pytest.raises(DataError, match="is not the labels.npy that was prepared"):
        again(tmp_path / "uris", candidate, COMPARABLE, ASKING, "s3://bucket/models")
