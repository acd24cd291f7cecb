import json
import os
import shutil
import subprocess
import sys

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.evaluation import ModelIdentity
from pathology.contracts.msi.train import TrainMsi

from pipelines.checks.definition import check
from pipelines.checks.expressions import all_steps, references
from pipelines.config import load_task
from pipelines.tasks import NAMES
from tests.test_walls import HEAVY

BUILD = f"""
import json, socket, sys
def refuse(*_, **__): raise OSError('the network is off')
socket.socket.connect = refuse; socket.create_connection = refuse; socket.getaddrinfo = refuse
import pipelines
from pipelines.builder import build
from pipelines.config import load_environment, load_task
from pipelines.tasks import NAMES
env = load_environment('example')
made = {{}}
for task in NAMES:
    compiled = build(task, load_task(task, env), env)
    made[task] = [compiled.text, {{uri: code.hex() for uri, code in compiled.code.items()}}]
print(json.dumps({{"of": pipelines.__path__[0], "made": made, "heavy": sorted({HEAVY!r} & set(sys.modules))}}))
"""


@pytest.fixture(scope="module")
def compiled_elsewhere(repository, tmp_path_factory):
    """What a process without network, credentials or region made in a copy of the checkout, with another hash seed."""
    folder = tmp_path_factory.mktemp("checkout")
    for top in ("pipelines", "steps", "containers", "pipeline_definitions", "environments"):
        shutil.copytree(repository / top, folder / top)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PATHOLOGY_", "SAGEMAKER_"))}
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        cwd=folder,
        env={**bare, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{folder}:{folder / 'containers'}", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["of"] == str(folder / "pipelines")
    return result


@pytest.mark.slow
def test_same_bytes_from_two_processes_two_folders_two_hash_seeds_without_network(compiled_elsewhere, example):
    """The other process is this one, in the checkout itself."""
    from pipelines.builder import build

    assert compiled_elsewhere["made"].keys() == set(NAMES)
    for task in NAMES:
        here = build(task, load_task(task, example), example)
        assert compiled_elsewhere["made"][task] == [here.text, {uri: code.hex() for uri, code in here.code.items()}]


def test_building_loads_nothing_heavy(compiled_elsewhere):
    """The walls of tests/test_walls.py at run time too: whatever an import pulls in by way of others."""
    assert compiled_elsewhere["heavy"] == []


@pytest.mark.parametrize("task", NAMES)
def test_rendered_definition_is_what_the_builder_makes(task, example, repository):
    from pipelines.builder import build

    committed = (repository / "pipeline_definitions" / f"{task}.json").read_text(encoding="utf-8")
    assert committed == build(task, load_task(task, example), example).rendered, "stale: run python -m pipelines.render"
    assert "<code>" in committed


@pytest.mark.parametrize("task", NAMES)
def test_a_version_has_the_identity_that_the_evaluation_read_from_the_model(task, repository):
    """The same that an endpoint answers; what it is in a run is tests/end_to_end's to show."""
    definition = json.loads((repository / "pipeline_definitions" / f"{task}.json").read_text(encoding="utf-8"))
    (version,) = (step for step in all_steps(definition) if step["Type"] == "RegisterModel")
    identity = version["Arguments"]["CustomerMetadataProperties"]["model_version"]["Std:JsonGet"]
    assert identity["PropertyFile"]["Get"] == f"Steps.Evaluate{task.capitalize()}.PropertyFiles.Evaluate{task.capitalize()}Report"
    *_, block, field = identity["Path"].split(".")
    assert block == "model" and field in ModelIdentity.model_fields


def test_steps_are_those_of_the_design(compiled):
    assert [step["Name"] for step in all_steps(compiled.definition)] == [
        "PrepareMsi",
        "ExtractFeatures",
        "CollectFeatures",
        "StageFeatures",
        "TrainMsi",
        "EvaluateMsi",
        "CompareMsi",
        "CheckMsi",
        "RegisterMsi",
        "DescribeMsi",
        "MsiBelowThreshold",
    ]


def test_caching_only_where_the_key_tells_the_truth(compiled):
    cached = {step["Name"] for step in all_steps(compiled.definition) if step.get("CacheConfig", {}).get("Enabled")}
    assert cached == {"ExtractFeatures", "TrainMsi", "EvaluateMsi"}


def test_execution_id_stands_in_output_uris_alone(compiled):
    for step in all_steps(compiled.definition):
        arguments = step["Arguments"]
        for part in ("AppSpecification", "Environment", "ProcessingInputs"):
            assert "Execution." not in json.dumps(arguments.get(part))
        for part in ("AlgorithmSpecification", "CheckpointConfig", "HyperParameters", "InputDataConfig"):
            assert "Execution." not in json.dumps(arguments.get(part))


def test_train_reads_efs_and_tables_from_s3(compiled):
    train = next(step for step in compiled.definition["Steps"] if step["Name"] == "TrainMsi")["Arguments"]
    channels = {channel["ChannelName"]: channel["DataSource"] for channel in train["InputDataConfig"]}
    assert channels["training"]["FileSystemDataSource"]["DirectoryPath"] == "/features"
    assert channels["models"]["FileSystemDataSource"]["DirectoryPath"] == "/models"
    assert {"S3DataSource"} == set(channels["slides"]) == set(channels["splits"]) == set(channels["code"])
    assert train["EnableManagedSpotTraining"] is True
    assert set(train["HyperParameters"]) == set(TrainMsi().as_strings())


def test_jobs_run_in_the_vpc_by_digest_with_tags(compiled, example):
    for step in compiled.definition["Steps"]:
        arguments = step["Arguments"]
        if step["Type"] == "Processing":
            assert arguments["NetworkConfig"]["VpcConfig"]["Subnets"] == list(example.network.subnets)
            assert "@sha256:" in arguments["AppSpecification"]["ImageUri"]
        elif step["Type"] == "Training":
            assert arguments["VpcConfig"]["SecurityGroupIds"] == list(example.network.security_groups)
            assert "@sha256:" in arguments["AlgorithmSpecification"]["TrainingImage"]
        else:
            continue
        assert arguments["Tags"] == [{"Key": "project", "Value": "pathology"}]
        assert {kind for policy in step["RetryPolicies"] for kind in policy["ExceptionType"]} >= {
            "Step.THROTTLING",
            "SageMaker.CAPACITY_ERROR",
        }


def changed(task, section, **values):
    return task.model_copy(update={section: getattr(task, section).model_copy(update=values)})


def test_training_from_s3_leaves_staging_out(example):
    from pipelines.builder import build

    task = load_task("msi", example)
    task = changed(task, "train", features=task.extract.features, models=task.encoder.weights)
    names = [step["Name"] for step in build("msi", task, example).definition["Steps"]]
    assert "StageFeatures" not in names


def test_extraction_as_training_mounts_the_slides(example):
    from pipelines.builder import build

    task = load_task("msi", example)
    task = changed(task, "dataset", slides=f"efs://{example.file_system}/datasets/tcga-coad")
    task = changed(task, "extract", run_as="training")
    extract = next(s for s in build("msi", task, example).definition["Steps"] if s["Name"] == "ExtractFeatures")
    assert extract["Type"] == "Training"
    channels = {channel["ChannelName"]: channel["DataSource"] for channel in extract["Arguments"]["InputDataConfig"]}
    assert channels["slides"]["FileSystemDataSource"]["DirectoryPath"] == "/datasets"


@pytest.mark.parametrize("run_as", ["processing", "training"])
def test_extraction_is_never_started_by_torchrun(example, run_as):
    """It starts a worker for each GPU itself; under torchrun each rank would start workers on all of them."""
    from pipelines.builder import build

    task = changed(load_task("msi", example), "extract", run_as=run_as)
    extract = next(s for s in build("msi", task, example).definition["Steps"] if s["Name"] == "ExtractFeatures")
    assert extract["Type"] == run_as.capitalize()
    assert "PATHOLOGY_TORCHRUN" not in extract["Arguments"].get("Environment", {})


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("dataset", {"slides": "efs://fs-11112222/datasets/x"}, "cannot mount EFS"),
        ("dataset", {"slides": "efs://fs-11112222/datasets/x", "manifest": None}, "a manifest is needed"),
        ("train", {"models": "s3://bucket/models"}, "both on efs"),
        ("train", {"features": "efs://fs-11112222/elsewhere"}, "one of the file system's folders"),
        ("train", {"features": "efs://fs-11112222/features/mine"}, "give the file system's own folder"),
    ],
)
def test_placement_that_cannot_work_is_refused(example, section, values, message):
    from pipelines.builder import build

    task = changed(load_task("msi", example), section, **values)
    with pytest.raises(RequestError, match=message):
        build("msi", task, example)


@pytest.mark.parametrize(
    ("section", "values", "parameter"),
    [("dataset", {"labels": "efs://fs-1/x"}, "LabelsUri"), ("encoder", {"weights": "efs://fs-1/x"}, "EncoderUri")],
)
def test_what_prepare_cannot_read_is_a_problem_of_the_definition(example, section, values, parameter):
    from pipelines.builder import build

    compiled = build("msi", changed(load_task("msi", example), section, **values), example)
    said = f"PrepareMsi: prepare_msi: parameter {parameter}: efs://fs-1/x is on EFS, which a Processing job cannot mount"
    assert said in "\n".join(map(str, check(compiled.name, compiled.definition)))


@pytest.mark.parametrize("task", ["msi", "mhist", "lizard"])
def test_no_parameter_stands_where_a_job_reads(task, example):
    """S3 takes what stands there for the beginning of a key, and a person's slash or lack of one would decide what arrives."""
    from pipelines.builder import build

    for step in all_steps(build(task, load_task(task, example), example).definition):
        arguments = step["Arguments"]
        read = [*arguments.get("ProcessingInputs", []), *arguments.get("InputDataConfig", [])]
        assert not [target for target in references(read) if target.startswith("Parameters.")], step["Name"]
        if step["Name"].startswith("Prepare"):
            assert [item["InputName"] for item in read] == ["code"] and "CacheConfig" not in step
