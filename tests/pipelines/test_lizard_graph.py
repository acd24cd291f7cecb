"""The lizard pipeline's graph: its steps, what they read, where they run, what is refused."""

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.lizard.evaluate import EvaluateLizard
from pathology.contracts.lizard.prepare import PrepareLizardJob
from pathology.contracts.lizard.train import TrainLizard
from pathology.contracts.log_lines import VALIDATION_PQ, metric_line
from pathology.contracts.staging import Stage

from pipelines.checks.definition import check
from pipelines.checks.expressions import all_steps
from pipelines.checks.graph import edges
from pipelines.checks.settings import hyperparameters
from pipelines.config import LOCAL, load_task
from pipelines.local.definition import problems
from pipelines.local.log_metrics import final_metrics
from pipelines.parameters import check_parameters, parse_parameters


@pytest.fixture(scope="module")
def lizard(example):
    from pipelines.builder import build

    return build("lizard", load_task("lizard", example), example)


@pytest.fixture(scope="module")
def steps(lizard):
    return {step["Name"]: step for step in all_steps(lizard.definition)}


def changed(task, section, **values):
    return task.model_copy(update={section: getattr(task, section).model_copy(update=values)})


def test_every_edge_of_the_picture(lizard):
    assert {name: set(needed) for name, needed in edges(lizard.definition).items()} == {
        "PrepareLizard": set(),
        "StageLizard": {"PrepareLizard"},
        "TrainLizard": {"StageLizard", "PrepareLizard"},
        "EvaluateLizard": {"TrainLizard", "PrepareLizard"},
        "CompareLizard": {"EvaluateLizard"},
        "CheckLizard": {"CompareLizard"},
        "RegisterLizard": {"CheckLizard", "TrainLizard", "EvaluateLizard", "CompareLizard"},
        "DescribeLizard": {"CheckLizard", "RegisterLizard", "EvaluateLizard"},
        "LizardBelowThreshold": {"CheckLizard", "CompareLizard"},
    }


@pytest.mark.parametrize("where", ["example", "local"])
def test_it_is_valid_for_aws_and_runs_here(where, example):
    from pipelines.builder import build

    env = example if where == "example" else LOCAL
    compiled = build("lizard", load_task("lizard", env), env)
    assert [str(problem) for problem in check(compiled.name, compiled.definition)] == []
    assert list(problems(compiled.definition)) == []
    assert len(compiled.code) == 6


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("PrepareLizard", PrepareLizardJob(**{name: f"s3://b1x/{name}" for name in ("dataset", "encoder", "prepared")})),
        ("StageLizard", Stage(encoder="s3://b1x/y")),
        ("TrainLizard", TrainLizard()),
        ("EvaluateLizard", EvaluateLizard()),
    ],
)
def test_hyperparameters_are_those_of_the_commands(steps, name, settings):
    command, given = hyperparameters(steps[name])
    assert command == ("stage" if name == "StageLizard" else f"{name.removesuffix('Lizard').lower()}_lizard")
    assert set(given) == set(settings.as_strings())


def test_training_reads_efs_in_as_many_processes_as_there_are_gpus(steps):
    request = steps["TrainLizard"]["Arguments"]
    channels = {channel["ChannelName"]: channel["DataSource"] for channel in request["InputDataConfig"]}
    assert channels["training"]["FileSystemDataSource"]["DirectoryPath"] == "/datasets"
    assert channels["models"]["FileSystemDataSource"]["DirectoryPath"] == "/models"
    assert set(channels) == {"code", "training", "models", "patches", "encoder"}
    assert request["Environment"]["PATHOLOGY_TORCHRUN"] == "true"


def test_training_from_s3_reads_the_dataset_itself(example):
    from pipelines.builder import build

    task = load_task("lizard", example)
    task = changed(task, "train", training=task.dataset.arrays, models=task.encoder.weights)
    compiled = build("lizard", task, example)
    assert [step["Name"] for step in compiled.definition["Steps"]] == [
        *("PrepareLizard", "TrainLizard", "EvaluateLizard", "CompareLizard", "CheckLizard"),
    ]
    (training,) = (
        channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in compiled.definition["Steps"][1]["Arguments"]["InputDataConfig"]
        if channel["ChannelName"] == "training"
    )
    assert training["Std:JsonGet"]["Path"] == "dataset.uri"


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("train", {"models": "s3://bucket/models"}, "both on efs"),
        ("train", {"training": "s3://b1x/x", "models": "s3://b1x/models"}, "train.training: .*the dataset"),
    ],
)
def test_placement_that_cannot_work_is_refused(example, section, values, message):
    from pipelines.builder import build

    with pytest.raises(RequestError, match=message):
        build("lizard", changed(load_task("lizard", example), section, **values), example)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (
            "dataset",
            {"arrays": "efs://fs-1/x"},
            "PrepareLizard: prepare_lizard: parameter DatasetUri: efs://fs-1/x is on EFS, which a Processing job cannot mount: give its copy in S3",
        ),
    ],
)
def test_data_on_efs_are_a_problem_of_the_definition(example, section, values, message):
    from pipelines.builder import build

    compiled = build("lizard", changed(load_task("lizard", example), section, **values), example)
    assert message in "\n".join(map(str, check(compiled.name, compiled.definition)))


def test_evaluation_and_the_endpoint_run_on_gpus_and_preparing_does_not(lizard, steps):
    defaults = {parameter["Name"]: parameter["DefaultValue"] for parameter in lizard.definition["Parameters"]}
    assert defaults["EvaluateInstanceType"].startswith("ml.g")
    assert defaults["PrepareInstanceType"].startswith("ml.m")
    inference = steps["RegisterLizard"]["Arguments"]["InferenceSpecification"]
    assert all(kind.startswith("ml.g") for kind in inference["SupportedRealtimeInferenceInstanceTypes"])
    assert inference["SupportedResponseMIMETypes"] == ["application/geo+json", "application/json", "application/x-npy"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("FineTuning=full", "choose one of frozen, lora"),
        ("Fold=10", "parameter Fold"),
        ("Classes=tumour,tumour", "parameter Classes: up to 32 different names"),
        ("Classes=all,other", "none of them 'all'"),
        ("DatasetUri=efs://fs-11112222/datasets/x", "a Processing job cannot mount EFS"),
        ("MinBpq=2", "MinBpq"),
    ],
)
def test_a_wrong_parameter_is_refused(lizard, given, message):
    with pytest.raises(RequestError, match=message):
        check_parameters(lizard.definition, parse_parameters([given]))


def test_metric_definitions_find_the_lines(steps, tmp_path):
    definitions = steps["TrainLizard"]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert {item["Name"] for item in definitions} == {
        *("training:loss", "validation:loss", "validation:mean_iou", "validation:mean_dice", "validation:mean_pq"),
    }
    log = tmp_path / "algo-1.log"
    log.write_text(metric_line(VALIDATION_PQ, 0.61) + "\n")
    assert {item["MetricName"]: item["Value"] for item in final_metrics(definitions, [log])} == {"validation:mean_pq": 0.61}
