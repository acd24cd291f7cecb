"""Requests against the service's shapes with any parameters' values, and what Pipelines is known to refuse."""

import copy

import pytest
from pathology.contracts.errors import RequestError

from pipelines.checks.definition import check
from pipelines.checks.expressions import all_steps
from pipelines.checks.properties import property_problem
from pipelines.checks.refused import REFUSED
from pipelines.checks.settings import defaults
from pipelines.checks.shapes import request_problems
from pipelines.checks.volumes import OWN_DISKS, SIZES, own_disk_gb
from pipelines.config import load_task
from pipelines.parameters import check_parameters


@pytest.fixture(scope="module", params=["msi", "mhist", "lizard"])
def pipeline(request, example):
    from pipelines.builder import build

    return build(request.param, load_task(request.param, example), example)


def registration(definition):
    return next(step for step in all_steps(definition) if step["Type"] == "RegisterModel")


FOLDER = {"S3DataType": "S3Prefix", "S3Uri": "s3://b1x/models/h-optimus-0/"}
GIVEN = {
    "AdditionalModelDataSources": [{"ChannelName": "encoder", "S3DataSource": {**FOLDER, "CompressionType": "None"}}],
    "AdditionalS3DataSource": FOLDER,
}


def names_in(node):
    if isinstance(node, dict):
        return set(node) | {name for value in node.values() for name in names_in(value)}
    return {name for value in node for name in names_in(value)} if isinstance(node, list) else set()


def test_registration_has_nothing_that_pipelines_refuses(pipeline):
    step = registration(pipeline.definition)
    assert not names_in(step["Arguments"]) & {entry.member for entry in REFUSED}
    assert "SupportedTransformInstanceTypes" not in names_in(step["Arguments"])
    assert list(request_problems(pipeline.definition, defaults(pipeline.definition))) == []


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry.member)
def test_what_pipelines_refuses_is_found_with_its_source(pipeline, entry):
    definition = copy.deepcopy(pipeline.definition)
    step = registration(definition)
    step["Arguments"]["InferenceSpecification"]["Containers"][0][entry.member] = GIVEN.get(entry.member, "x")
    problems = check(pipeline.name, definition)
    assert any(problem.where == step["Name"] and entry.source in problem.what for problem in problems), problems


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("gated attention MIL: ensemble of folds", True),
        ("Größe µ=1.5/x@y+z-w_v", True),
        ("中文 標籤", True),
        ("gated attention MIL, ensemble of folds", False),
        ("folds (five)", False),
        ("a\nb", False),
        ("", False),
        ("x" * 256, True),
        ("x" * 257, False),
    ],
)
def test_metadata_and_tags_are_held_against_the_classes_of_unicode(pipeline, value, fits):
    definition = copy.deepcopy(pipeline.definition)
    registration(definition)["Arguments"]["CustomerMetadataProperties"]["said"] = value
    assert (not check(pipeline.name, definition)) is fits
    definition = copy.deepcopy(pipeline.definition)
    definition["Steps"][0]["Arguments"]["Tags"] = [{"Key": "said", "Value": value}]
    # A tag may be empty: the API's reference has 0 to 256 characters.
    assert (not check(pipeline.name, definition)) is (fits or value == "")


def test_a_value_given_at_start_is_held_against_the_shapes(pipeline):
    values = defaults(pipeline.definition)
    faults = list(request_problems(pipeline.definition, {**values, "EncoderUri": "s3://b1x/models/h-optimus, mine"}))
    register = registration(pipeline.definition)["Name"]
    assert [step for step, _ in faults] == [register]
    assert "encoder_uri" in faults[0][1] and faults[0][1].endswith("(parameter EncoderUri)")
    with pytest.raises(RequestError, match=rf"{register}: .*encoder_uri.*\(parameter EncoderUri\)"):
        check_parameters(pipeline.definition, {"EncoderUri": "s3://b1x/models/h-optimus, mine"})
    with pytest.raises(RequestError, match=r"'ml.g99.xlarge' is not one .*parameter TrainInstanceType"):
        check_parameters(pipeline.definition, {"TrainInstanceType": "ml.g99.xlarge"})


PROCESSING = {
    "Name": "Prepare",
    "Type": "Processing",
    "Arguments": {
        "ProcessingInputs": [{"InputName": "code"}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "cohort"}]},
    },
}
TRAINING = {"Name": "Train", "Type": "Training", "Arguments": {}}


@pytest.mark.parametrize(
    ("step", "path"),
    [
        (PROCESSING, "ProcessingOutputConfig.Outputs['cohort'].S3Output.S3Uri"),
        (PROCESSING, "ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"),
        (PROCESSING, "ProcessingInputs['code'].S3Input.S3Uri"),
        (PROCESSING, "ProcessingJobArn"),
        (PROCESSING, "Environment['SM_HP_SEED']"),
        (TRAINING, "ModelArtifacts.S3ModelArtifacts"),
        (TRAINING, "FinalMetricDataList['validation:loss'].Value"),
        ({"Name": "Register", "Type": "RegisterModel", "Arguments": {}}, "ModelPackageArn"),
        ({"Name": "Check", "Type": "Condition", "Arguments": {}}, "Outcome"),
    ],
)
def test_a_property_that_the_service_describes_is_none_at_fault(step, path):
    assert property_problem(step, path) is None


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        (PROCESSING, "ProcessingOutputConfig.Outputs['cohorts'].S3Output.S3Uri", "has no output 'cohorts'"),
        (PROCESSING, "ProcessingInputs['codes'].S3Input.S3Uri", "has no input 'codes'"),
        (PROCESSING, "ProcessingOutputConfig.Output['cohort'].S3Output.S3Uri", "'Output' is not in ProcessingOutputConfig"),
        (PROCESSING, "ProcessingOutputConfig.Outputs['cohort'].S3Output", "is a structure"),
        (PROCESSING, "ModelArtifacts.S3ModelArtifacts", "'ModelArtifacts' is not in DescribeProcessingJobResponse"),
        (PROCESSING, ".ProcessingJobArn", "no path of properties"),
        (TRAINING, "ModelArtifacts.S3ModelArtifacts.Uri", "'Uri' is not in S3ModelArtifacts"),
        ({"Name": "Check", "Type": "Condition", "Arguments": {}}, "Outcomes", "only Outcome"),
    ],
)
def test_a_property_that_is_not_is_named(step, path, message):
    assert message in property_problem(step, path)


def test_a_cached_steps_environment_names_no_execution(compiled):
    definition = copy.deepcopy(compiled.definition)
    step = next(
        step for step in definition["Steps"] if step.get("CacheConfig", {}).get("Enabled") and step["Type"] == "Processing"
    )
    step["Arguments"]["Environment"]["RUN"] = {"Get": "Execution.PipelineExecutionId"}
    assert [str(problem) for problem in check(compiled.name, definition)] == [
        f"{step['Name']}: Environment names Execution.PipelineExecutionId, which differs in every execution, "
        "so that the cache never answers"
    ]
    step["CacheConfig"]["Enabled"] = False
    assert check(compiled.name, definition) == []


@pytest.mark.parametrize(
    ("kind", "size", "message"), [("ml.g5.xlarge", 251, "250 GB of its own"), ("ml.m5.xlarge", 1025, "1024 GB")]
)
def test_a_volume_beyond_the_instances_or_the_quota(compiled, kind, size, message):
    definition = copy.deepcopy(compiled.definition)
    step = next(step for step in definition["Steps"] if step["Type"] == "Processing")
    cluster = step["Arguments"]["ProcessingResources"]["ClusterConfig"]
    cluster.pop("VolumeKmsKeyId", None)
    cluster.update(InstanceType=kind, VolumeSizeInGB=size - 1)
    before = {str(problem) for problem in check(compiled.name, definition)}
    cluster["VolumeSizeInGB"] = size
    (fault,) = {str(problem) for problem in check(compiled.name, definition)} - before
    assert message in fault


def test_own_disks_are_as_ec2_answers_of_its_types():
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    kinds = {f"{family}.{size}": own_disk_gb(f"ml.{family}.{size}") for family in OWN_DISKS for size in SIZES}
    assert len([disk for disk in kinds.values() if disk]) >= 30
    for kind, disk in kinds.items():
        assert disk == INSTANCE_TYPES.get(kind, {}).get("InstanceStorageInfo", {}).get("TotalSizeInGB"), kind
    assert own_disk_gb("ml.m5.xlarge") is None


@pytest.mark.parametrize("text", ["P30D", "30d", "T16m", "30dT5h", "PT12H", "p1y"])
def test_durations_that_the_guide_shows_are_taken(compiled, text):
    definition = copy.deepcopy(compiled.definition)
    next(step for step in definition["Steps"] if "CacheConfig" in step)["CacheConfig"]["ExpireAfter"] = text
    assert check(compiled.name, definition) == []
