"""The mhist pipeline's graph: its steps, what they read, what is cached, where it is deployed."""

import copy
import json

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.log_lines import VALIDATION_AUROC, metric_line
from pathology.contracts.mhist.evaluate import EvaluateMhist
from pathology.contracts.mhist.prepare import PrepareMhistJob
from pathology.contracts.mhist.train import TrainMhist

from pipelines.checks.definition import check
from pipelines.checks.expressions import all_steps
from pipelines.checks.graph import edges
from pipelines.config import LOCAL, load_task
from pipelines.local.definition import problems
from pipelines.local.log_metrics import final_metrics
from pipelines.parameters import check_parameters, parse_parameters
from steps.environment import Resources

URIS = {name: f"s3://b1x/{name}" for name in ("annotations", "images", "encoder", "prepared")}
SAID = "is on EFS, which a Processing job cannot mount: give its copy in S3"


@pytest.fixture(scope="module")
def mhist(example):
    from pipelines.builder import build

    return build("mhist", load_task("mhist", example), example)


@pytest.fixture(scope="module")
def steps(mhist):
    return {step["Name"]: step for step in all_steps(mhist.definition)}


def changed(task, section, **values):
    return task.model_copy(update={section: getattr(task, section).model_copy(update=values)})


def from_s3(example):
    task = load_task("mhist", example)
    return changed(task, "train", training=f"s3://{example.bucket}/prepared/mhist", models=task.encoder.weights)


def channels(step):
    return {channel["ChannelName"]: channel for channel in step["Arguments"]["InputDataConfig"]}


def inputs(step):
    return {item["InputName"]: item["S3Input"]["S3Uri"] for item in step["Arguments"]["ProcessingInputs"]}


def test_every_edge_of_the_picture(mhist, steps):
    assert list(steps) == [
        *("PrepareMhist", "StageMhist", "TrainMhist", "EvaluateMhist"),
        *("CompareMhist", "CheckMhist", "RegisterMhist", "DescribeMhist", "MhistBelowThreshold"),
    ]
    assert {name: set(needed) for name, needed in edges(mhist.definition).items()} == {
        "PrepareMhist": set(),
        "StageMhist": {"PrepareMhist"},
        "TrainMhist": {"StageMhist", "PrepareMhist"},
        "EvaluateMhist": {"TrainMhist", "PrepareMhist"},
        "CompareMhist": {"EvaluateMhist"},
        "CheckMhist": {"CompareMhist"},
        "RegisterMhist": {"CheckMhist", "TrainMhist", "EvaluateMhist", "CompareMhist"},
        "DescribeMhist": {"CheckMhist", "RegisterMhist", "EvaluateMhist"},
        "MhistBelowThreshold": {"CheckMhist", "CompareMhist"},
    }


@pytest.mark.parametrize("where", ["example", "local"])
def test_it_is_valid_for_aws_and_runs_here(where, example):
    from pipelines.builder import build

    env = example if where == "example" else LOCAL
    compiled = build("mhist", load_task("mhist", env), env)
    assert [str(problem) for problem in check(compiled.name, compiled.definition)] == []
    assert list(problems(compiled.definition)) == []
    assert len(compiled.code) == 6


def test_hyperparameters_are_those_of_the_commands(steps):
    assert set(steps["TrainMhist"]["Arguments"]["HyperParameters"]) == set(TrainMhist().as_strings())
    for name, settings in (("PrepareMhist", PrepareMhistJob(**URIS)), ("EvaluateMhist", EvaluateMhist())):
        given = {key for key in steps[name]["Arguments"]["Environment"] if key.startswith("SM_HP_")}
        assert given == {f"SM_HP_{key.replace('-', '_').upper()}" for key in settings.as_strings()}


def test_only_what_trains_in_several_processes_may_use_torchrun(steps):
    given = {name: step["Arguments"].get("Environment", {}).get("PATHOLOGY_TORCHRUN") for name, step in steps.items()}
    assert {name for name, value in given.items() if value == "true"} == {"TrainMhist"}
    assert {value for name, value in given.items() if name != "TrainMhist"} == {None}


def test_training_reads_efs_and_tables_from_s3(steps):
    train = channels(steps["TrainMhist"])
    assert train["training"]["DataSource"]["FileSystemDataSource"]["DirectoryPath"] == "/datasets"
    assert train["models"]["DataSource"]["FileSystemDataSource"]["DirectoryPath"] == "/models"
    assert {access["FileSystemAccessMode"] for access in _mounts(steps["TrainMhist"])} == {"ro"}
    assert {access["FileSystemAccessMode"] for access in _mounts(steps["StageMhist"])} == {"rw"}
    assert set(train) == {"code", "training", "models", "patches", "encoder"}


def _mounts(step):
    sources = [channel["DataSource"].get("FileSystemDataSource") for channel in channels(step).values()]
    return [mount for mount in sources if mount]


def test_another_encoder_is_another_key_for_training(steps):
    """EFS does not stand in the cache key: the encoder's manifest in S3, by its content, does."""
    handed = channels(steps["TrainMhist"])["encoder"]["DataSource"]["S3DataSource"]["S3Uri"]["Std:JsonGet"]
    assert handed["Path"] == "encoder.uri"
    assert handed["PropertyFile"] == {"Get": "Steps.PrepareMhist.PropertyFiles.PrepareMhistReport"}


def test_training_from_s3_leaves_staging_out(example):
    from pipelines.builder import build

    compiled = build("mhist", from_s3(example), example)
    names = [step["Name"] for step in compiled.definition["Steps"]]
    assert names == ["PrepareMhist", "TrainMhist", "EvaluateMhist", "CompareMhist", "CheckMhist"]
    train = channels(compiled.definition["Steps"][1])
    assert all("S3DataSource" in channel["DataSource"] for channel in train.values())
    for name, key in (
        ("training", "images.uri"),
        ("models", "models.uri"),
        ("encoder", "encoder.uri"),
        ("patches", "patches.uri"),
    ):
        assert train[name]["DataSource"]["S3DataSource"]["S3Uri"]["Std:JsonGet"]["Path"] == key
    assert [str(problem) for problem in check(compiled.name, compiled.definition)] == []


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("train", {"models": "s3://bucket/models"}, "both on efs"),
        ("train", {"training": "s3://b1x/images", "models": "s3://b1x/models"}, "train.training: .*where PrepareMhist writes"),
        ("train", {"training": "efs://fs-11112222/elsewhere"}, "one of the file system's folders"),
        ("train", {"training": "efs://fs-11112222/datasets/mine"}, "give the file system's own folder"),
    ],
)
def test_placement_that_cannot_work_is_refused(example, section, values, message):
    from pipelines.builder import build

    with pytest.raises(RequestError, match=message):
        build("mhist", changed(load_task("mhist", example), section, **values), example)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (
            "dataset",
            {"images": "efs://fs-1111/datasets/x"},
            f"PrepareMhist: prepare_mhist: parameter ImagesUri: efs://fs-1111/datasets/x {SAID}",
        ),
        (
            "dataset",
            {"annotations": "efs://fs-1111/a.csv"},
            f"PrepareMhist: prepare_mhist: parameter AnnotationsUri: efs://fs-1111/a.csv {SAID}",
        ),
        (
            "encoder",
            {"weights": "efs://fs-1111/models/x"},
            f"PrepareMhist: prepare_mhist: parameter EncoderUri: efs://fs-1111/models/x {SAID}",
        ),
    ],
)
def test_data_on_efs_are_a_problem_of_the_definition(example, section, values, message):
    from pipelines.builder import build

    compiled = build("mhist", changed(load_task("mhist", example), section, **values), example)
    assert message in "\n".join(map(str, check(compiled.name, compiled.definition)))


def test_staging_that_says_not_where_it_runs_is_refused(example):
    from pipelines.builder import build

    with pytest.raises(RequestError, match="stage: missing"):
        build("mhist", load_task("mhist", example).model_copy(update={"stage": None}), example)


def test_evaluation_reads_the_packaged_model_and_the_encoder_on_a_gpu(mhist, steps):
    read = inputs(steps["EvaluateMhist"])
    assert read["model"] == {"Get": "Steps.TrainMhist.ModelArtifacts.S3ModelArtifacts"}
    assert read["models"]["Std:JsonGet"]["Path"] == "models.uri"
    assert {"patches", "images"} < set(read)
    defaults = {parameter["Name"]: parameter["DefaultValue"] for parameter in mhist.definition["Parameters"]}
    assert defaults["EvaluateInstanceType"].startswith("ml.g")
    assert defaults["PrepareInstanceType"].startswith("ml.m")
    assert all(kind.startswith("ml.g") for kind in specification(steps)["SupportedRealtimeInferenceInstanceTypes"])


def specification(steps):
    return steps["RegisterMhist"]["Arguments"]["InferenceSpecification"]


def test_a_version_takes_images_and_names_its_encoder(steps):
    inference = specification(steps)
    assert inference["SupportedContentTypes"] == ["image/png", "image/jpeg"]
    assert inference["SupportedResponseMIMETypes"] == ["application/json"]
    assert "SupportedTransformInstanceTypes" not in inference
    assert set(inference["Containers"][0]) == {"Image", "ModelDataUrl"}
    metadata = steps["RegisterMhist"]["Arguments"]["CustomerMetadataProperties"]
    assert metadata["encoder_uri"] == {"Get": "Parameters.EncoderUri"}
    assert metadata["encoder_sha256"]["Std:JsonGet"]["Path"] == "pathology.encoder.sha256"


def test_caching_and_the_execution_id_as_in_msi(steps):
    cached = {name for name, step in steps.items() if step.get("CacheConfig", {}).get("Enabled")}
    assert cached == {"TrainMhist", "EvaluateMhist"}
    for step in steps.values():
        for part in ("AppSpecification", "AlgorithmSpecification", "CheckpointConfig", "Environment", "HyperParameters"):
            assert "Execution." not in json.dumps(step["Arguments"].get(part))


def test_a_wrong_hyperparameter_beside_what_only_an_execution_knows_is_found(mhist):
    """What a step before will have written is not known before, and is not at fault."""
    definition = copy.deepcopy(mhist.definition)
    stage = next(step for step in definition["Steps"] if step["Name"] == "StageMhist")
    stage["Arguments"]["HyperParameters"]["encoder"] = {
        "Get": "Steps.PrepareMhist.ProcessingOutputConfig.Outputs['prepared'].S3Output.S3Uri"
    }
    assert list(check(mhist.name, definition)) == []
    stage["Arguments"]["HyperParameters"]["speed"] = "high"
    assert [str(problem) for problem in check(mhist.name, definition)] == [
        "StageMhist: stage: speed: unknown key: take it out or correct its name"
    ]
    del stage["Arguments"]["HyperParameters"]["speed"], stage["Arguments"]["HyperParameters"]["encoder"]
    assert [str(problem) for problem in check(mhist.name, definition)] == ["StageMhist: stage: encoder: missing: add it"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("FineTuning=everything", "choose one of linear, lora, last-blocks, full"),
        ("PublishedCounts=no", "choose one of true, false"),
        ("ValidationFraction=0.7", "parameter ValidationFraction"),
        ("ImagesUri=efs://fs-11112222/datasets/x", "a Processing job cannot mount EFS"),
        ("SlidesUri=s3://mine/slides", "has no parameter 'SlidesUri'"),
    ],
)
def test_a_wrong_parameter_is_refused(mhist, given, message):
    with pytest.raises(RequestError, match=message):
        check_parameters(mhist.definition, parse_parameters([given]))


def test_metric_definitions_find_the_lines(steps, tmp_path):
    definitions = steps["TrainMhist"]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert {item["Name"] for item in definitions} == {
        *("training:loss", "validation:loss", "validation:accuracy", "validation:roc_auc"),
    }
    log = tmp_path / "algo-1.log"
    log.write_text(metric_line(VALIDATION_AUROC, 0.75) + "\n")
    metrics = {item["MetricName"]: item["Value"] for item in final_metrics(definitions, [log])}
    assert metrics == {"validation:roc_auc": 0.75}


def test_compare_runs_on_what_evaluate_runs_on_unless_it_has_resources_of_its_own(example, steps):
    from pipelines.builder import build

    def cluster(step):
        return step["Arguments"]["ProcessingResources"]["ClusterConfig"]

    assert cluster(steps["CompareMhist"]) == cluster(steps["EvaluateMhist"])
    assert steps["CompareMhist"]["Arguments"]["Environment"]["SM_HP_MAX_MINUTES"] == "120"
    small = Resources(instance_type="ml.t3.medium", volume_gb=30, max_runtime_minutes=30)
    own = build("mhist", changed(load_task("mhist", example), "compare", resources=small), example)
    (compare,) = (step for step in all_steps(own.definition) if step["Name"] == "CompareMhist")
    assert cluster(compare)["InstanceType"] == "ml.t3.medium"
    assert compare["Arguments"]["Environment"]["SM_HP_MAX_MINUTES"] == "30"
