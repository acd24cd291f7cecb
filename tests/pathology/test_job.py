"""A job as the service describes it to its container: folders and, of a Processing job, where they lie in S3."""

import json

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri
from pathology.job import Job


def described(root, monkeypatch, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    monkeypatch.setenv("PATHOLOGY_ROOT", str(root))
    return Job.current()


@pytest.fixture
def processing(tmp_path, monkeypatch):
    """One with an input, an output, and a hyperparameter."""
    config = {
        "ProcessingJobName": "prepare-1",
        "Environment": {"SM_HP_MAX_TILES": "5", "OTHER": "x"},
        "ProcessingInputs": [
            {"InputName": "images", "S3Input": {"S3Uri": "s3://bucket/raw", "LocalPath": "/opt/ml/processing/input/images"}}
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "patches",
                    "S3Output": {"S3Uri": "s3://bucket/run-1/patches", "LocalPath": "/opt/ml/processing/out"},
                }
            ]
        },
    }
    resources = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}
    files = {"config/processingjobconfig.json": config, "config/resourceconfig.json": resources}
    return tmp_path, described(tmp_path, monkeypatch, files)


def test_a_processing_job_knows_its_folders_and_where_they_lie_in_s3(processing):
    root, job = processing
    assert (job.kind, job.name, job.rank, job.world_size, job.values) == ("processing", "prepare-1", 1, 2, {"max-tiles": "5"})
    assert job.input("images") == root / "processing" / "input" / "images"
    assert job.output("patches") == root / "processing" / "out" and job.output("patches").is_dir()
    assert job.input_uri("images") == Uri.parse("s3://bucket/raw")
    assert job.output_uri("patches") / "a.png" == Uri.parse("s3://bucket/run-1/patches/a.png")


@pytest.mark.parametrize("kind", ["input", "output", "input_uri", "output_uri"])
def test_what_the_request_does_not_name_is_refused(processing, kind):
    has = {"input": "images", "output": "patches"}[kind.partition("_")[0]]
    with pytest.raises(RequestError, match=f"job prepare-1 has no {kind.partition('_')[0]} 'labels', only {has}"):
        getattr(processing[1], kind)("labels")


def test_a_training_job_has_channels_and_no_uris(tmp_path, monkeypatch):
    files = {
        "input/config/inputdataconfig.json": {"training": {}},
        "input/config/resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"]},
        "input/config/hyperparameters.json": {"epochs": "3", "sagemaker_program": "x"},
    }
    job = described(tmp_path, monkeypatch, files)
    assert (job.kind, job.values) == ("training", {"epochs": "3"})
    assert job.input("training") == tmp_path / "input" / "data" / "training" and job.output("model") == tmp_path / "model"
    with pytest.raises(RequestError, match="has no input 'training', only none"):
        job.input_uri("training")
