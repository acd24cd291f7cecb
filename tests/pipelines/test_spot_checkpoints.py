"""Where spot trainings keep their checkpoints, and which region their jobs name, as the definitions say it."""

import pytest

from pipelines.checks.expressions import all_steps, known
from pipelines.config import load_task
from pipelines.tasks import NAMES

TRAINING = {"msi": "TrainMsi", "mhist": "TrainMhist", "lizard": "TrainLizard"}


@pytest.fixture(scope="module")
def built(example):
    """The example's definition by task."""
    from pipelines.builder import build

    return {name: build(name, load_task(name, example), example).definition for name in NAMES}


def prefix(definition, task, **values):
    """The URI as an execution with these parameters has it."""
    parameters = {item["Name"]: item.get("DefaultValue", "") for item in definition["Parameters"]} | values
    step = next(step for step in all_steps(definition) if step["Name"] == TRAINING[task])
    return known(step["Arguments"]["CheckpointConfig"]["S3Uri"], parameters)


@pytest.mark.parametrize("task", NAMES)
def test_the_prefix_follows_training_parameters_and_nothing_else_of_an_execution(built, task):
    definition = built[task]
    first = prefix(definition, task)
    assert first.startswith(f"s3://pathology-111122223333/checkpoints/{TRAINING[task]}/")
    assert prefix(definition, task, Seed=5) != first
    assert prefix(definition, task, LearningRate=0.123) != first
    others = [prefix(definition, task, Seed=seed) for seed in (1, 10, 100)]
    assert not any(one != other and other.startswith(one) for one in others for other in others)
    for text in (item["Name"] for item in definition["Parameters"] if item["Type"] == "String" and "EnumValues" not in item):
        assert prefix(definition, task, **{text: "a//b ?#"}) == first


def test_the_prefix_follows_the_code(built, example, monkeypatch):
    from pathology.contracts.code import Code

    import steps.jobs
    from pipelines.builder import build

    real = steps.jobs.code_of
    monkeypatch.setattr(steps.jobs, "code_of", lambda command: Code({**real(command).files, "pathology/more.py": b""}))
    again = build("mhist", load_task("mhist", example), example).definition
    assert prefix(again, "mhist") != prefix(built["mhist"], "mhist")


@pytest.mark.parametrize("task", NAMES)
def test_every_job_names_its_region(built, task):
    jobs = [step["Arguments"] for step in all_steps(built[task]) if step["Type"] in ("Processing", "Training")]
    assert jobs
    for arguments in jobs:
        assert arguments["Environment"].items() >= {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}.items()
