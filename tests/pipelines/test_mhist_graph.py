"""The mhist pipeline's graph: its steps, what they read, what is cached, where it is deployed."""

import copy
import json

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.log_lines import VALIDATION_AUROC, metric_line
from pathology.contracts.mhist.evaluate import EvaluateMhist
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.contracts.mhist.train import TrainMhist
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.checks.definition import check
from pipelines.checks.expressions import all_steps, references
from pipelines.checks.graph import edges
from pipelines.config import LOCAL, load_task
from pipelines.fingerprint import fingerprint
from pipelines.local.client import LocalSageMaker
from pipelines.local.definition import problems
from pipelines.local.log_metrics import final_metrics
from pipelines.parameters import check_parameters, parse_parameters
from pipelines.tasks.mhist import MhistTask
from pipelines.tasks.parameters import data_parameters


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
    return changed(task, "train", training=f"s3://{example.bucket}/runs", models=task.encoder.weights)


def channels(step):
    return {channel["ChannelName"]: channel for channel in step["Arguments"]["InputDataConfig"]}


def inputs(step):
    return {item["InputName"]: item["S3Input"]["S3Uri"] for item in step["Arguments"]["ProcessingInputs"]}


def test_every_edge_of_the_picture(mhist, steps):
    assert list(steps) == [
        *("PrepareMhist", "StageMhist", "TrainMhist", "EvaluateMhist"),
        *("CheckMhist", "RegisterMhist", "MhistBelowThreshold"),
    ]
    assert {name: set(needed) for name, needed in edges(mhist.definition).items()} == {
        "PrepareMhist": set(),
        "StageMhist": {"PrepareMhist"},
        "TrainMhist": {"StageMhist", "PrepareMhist"},
        "EvaluateMhist": {"TrainMhist", "PrepareMhist"},
        "CheckMhist": {"EvaluateMhist"},
        "RegisterMhist": {"CheckMhist", "TrainMhist", "EvaluateMhist"},
        "MhistBelowThreshold": {"CheckMhist", "EvaluateMhist"},
    }


@pytest.mark.parametrize("where", ["example", "local"])
def test_it_is_valid_for_aws_and_runs_here(where, example):
    from pipelines.builder import build

    env = example if where == "example" else LOCAL
    compiled = build("mhist", load_task("mhist", env), env)
    assert [str(problem) for problem in check(compiled.name, compiled.definition)] == []
    assert list(problems(compiled.definition)) == []
    assert len(compiled.code) == 4


def test_hyperparameters_are_those_of_the_commands(steps):
    assert set(steps["TrainMhist"]["Arguments"]["HyperParameters"]) == set(TrainMhist().as_strings())
    for name, settings in (("PrepareMhist", PrepareMhist()), ("EvaluateMhist", EvaluateMhist())):
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
    """EFS does not stand in the cache key: the encoder's manifest in S3 does."""
    assert "Parameters.EncoderUri" in set(references(steps["TrainMhist"]["Arguments"]["InputDataConfig"]))


def test_training_from_s3_leaves_staging_out(example):
    from pipelines.builder import build

    compiled = build("mhist", from_s3(example), example)
    names = [step["Name"] for step in compiled.definition["Steps"]]
    assert names == ["PrepareMhist", "TrainMhist", "EvaluateMhist", "CheckMhist"]
    train = channels(compiled.definition["Steps"][1])
    assert all("S3DataSource" in channel["DataSource"] for channel in train.values())
    assert train["training"]["DataSource"]["S3DataSource"]["S3Uri"] == {
        "Get": "Steps.PrepareMhist.ProcessingOutputConfig.Outputs['images'].S3Output.S3Uri"
    }
    assert train["models"]["DataSource"]["S3DataSource"]["S3Uri"] == {"Get": "Parameters.EncoderUri"}
    assert [str(problem) for problem in check(compiled.name, compiled.definition)] == []


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("dataset", {"images": "efs://fs-11112222/datasets/x"}, "PrepareMhist: input 'images'.*cannot mount EFS"),
        ("dataset", {"annotations": "efs://fs-11112222/datasets/a.csv"}, "PrepareMhist: input 'annotations'.*cannot mount EFS"),
        ("encoder", {"weights": "efs://fs-11112222/models/x"}, "cannot mount EFS|has to be mounted"),
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


def test_staging_that_says_not_where_it_runs_is_refused(example):
    from pipelines.builder import build

    with pytest.raises(RequestError, match="stage: missing"):
        build("mhist", load_task("mhist", example).model_copy(update={"stage": None}), example)


def test_evaluation_reads_the_packaged_model_and_the_encoder_on_a_gpu(mhist, steps):
    read = inputs(steps["EvaluateMhist"])
    assert read["model"] == {"Get": "Steps.TrainMhist.ModelArtifacts.S3ModelArtifacts"}
    assert read["models"] == {"Get": "Parameters.EncoderUri"}
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
    (source,) = inference["Containers"][0]["AdditionalModelDataSources"]
    assert source["ChannelName"] == "encoder"
    assert source["S3DataSource"]["S3Uri"]["Std:Join"]["Values"] == [{"Get": "Parameters.EncoderUri"}, "/"]


def test_caching_and_the_execution_id_as_in_msi(steps):
    cached = {name for name, step in steps.items() if step.get("CacheConfig", {}).get("Enabled")}
    assert cached == {"PrepareMhist", "TrainMhist", "EvaluateMhist"}
    for step in steps.values():
        for part in ("AppSpecification", "AlgorithmSpecification", "CheckpointConfig", "Environment", "HyperParameters"):
            assert "Execution." not in json.dumps(step["Arguments"].get(part))


def test_a_wrong_hyperparameter_beside_what_only_an_execution_knows_is_found(mhist):
    """What a step before will have written is not known before, and is not at fault."""
    definition = copy.deepcopy(mhist.definition)
    stage = next(step for step in definition["Steps"] if step["Name"] == "StageMhist")
    stage["Arguments"]["HyperParameters"]["encoder"] = {
        "Get": "Steps.PrepareMhist.ProcessingOutputConfig.Outputs['images'].S3Output.S3Uri"
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


def test_a_changed_patch_table_or_encoder_is_another_version_of_the_dataset(mhist, tmp_path):
    store = FolderStore(tmp_path)
    values = {parameter["Name"]: parameter["DefaultValue"] for parameter in mhist.definition["Parameters"]}
    values |= {"AnnotationsUri": "s3://b1x/a.csv", "ImagesUri": "s3://b1x/images", "EncoderUri": "s3://b1x/encoder"}
    for uri in (values["AnnotationsUri"], f"{values['ImagesUri']}/images.zip", f"{values['EncoderUri']}/encoder.json"):
        store.write(Uri.parse(uri), b"x")
    seen = [fingerprint(store, values, data_parameters(MhistTask))]
    for uri in (values["AnnotationsUri"], f"{values['ImagesUri']}/images.zip", f"{values['EncoderUri']}/encoder.json"):
        store.write(Uri.parse(uri), b"another")
        seen.append(fingerprint(store, values, data_parameters(MhistTask)))
    assert None not in seen and len(set(seen)) == 4


def test_a_version_whose_encoder_is_not_there_is_not_registered(tmp_path):
    client = LocalSageMaker(tmp_path)
    client.create_model_package_group(ModelPackageGroupName="pathology-mhist")
    FolderStore(tmp_path).write(Uri.parse("s3://local/model.tar.gz"), b"x")
    source = {"S3Uri": "s3://local/encoder/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {
        "ModelDataUrl": "s3://local/model.tar.gz",
        "AdditionalModelDataSources": [{"ChannelName": "encoder", "S3DataSource": source}],
    }
    request = {"ModelPackageGroupName": "pathology-mhist", "InferenceSpecification": {"Containers": [container]}}
    with pytest.raises(ClientError, match="s3://local/encoder/: there is nothing there for the model's encoder"):
        client.create_model_package(**request)
    FolderStore(tmp_path).write(Uri.parse("s3://local/encoder/encoder.json"), b"{}")
    assert client.create_model_package(**request)["ModelPackageArn"].endswith("pathology-mhist/1")


def test_metric_definitions_find_the_lines(steps, tmp_path):
    definitions = steps["TrainMhist"]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert {item["Name"] for item in definitions} == {
        *("training:loss", "validation:loss", "validation:accuracy", "validation:roc_auc"),
    }
    log = tmp_path / "algo-1.log"
    log.write_text(metric_line(VALIDATION_AUROC, 0.75) + "\n")
    metrics = {item["MetricName"]: item["Value"] for item in final_metrics(definitions, [log])}
    assert metrics == {"validation:roc_auc": 0.75}
