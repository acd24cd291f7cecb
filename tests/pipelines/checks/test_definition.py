"""Planted faults: each is found, and named with its step."""

import copy

import pytest

from pipelines.checks.definition import check
from pipelines.checks.expressions import all_steps
from pipelines.local.definition import problems


def problems_of(compiled, plant):
    definition = copy.deepcopy(compiled.definition)
    steps = {step["Name"]: step for step in all_steps(definition)}
    plant(definition, steps)
    return [str(problem) for problem in check(compiled.name, definition)]


def set_in(name, *path, value):
    def plant(_, steps):
        node = steps[name]
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return plant


TRAIN = ("TrainMsi", "Arguments")
PREPARE = ("PrepareMsi", "Arguments")


def condition(steps):
    return steps["CheckMsi"]["Arguments"]["Conditions"][0]


FAULTS = {
    "metric's regex": (
        lambda _, s: s["TrainMsi"]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"][0].update(Regex="(unclosed"),
        "its Regex '(unclosed' is none",
    ),
    "property file without a path": (
        lambda _, s: s["EvaluateMsi"]["PropertyFiles"][0].pop("FilePath"),
        "EvaluateMsi: a property file has no FilePath",
    ),
    "kind of condition": (
        lambda _, s: condition(s).update(Type="AtLeast"),
        "CheckMsi: a condition of type 'AtLeast' is not one of",
    ),
    "half a condition": (lambda _, s: condition(s).pop("LeftValue"), "GreaterThanOrEqualTo has no LeftValue"),
    "no message": (lambda _, s: s["MsiBelowThreshold"]["Arguments"].clear(), "MsiBelowThreshold: ErrorMessage should be text"),
    "version": (lambda d, _: d.update(Version="2021-01-01"), "the definition's Version is '2021-01-01'"),
    "JsonGet of nothing": (
        lambda _, s: condition(s)["LeftValue"]["Std:JsonGet"].pop("PropertyFile"),
        "CheckMsi: a Std:JsonGet names no PropertyFile",
    ),
    "parameter without a type": (
        lambda d, _: d["Parameters"][0].pop("Type"),
        "parameter SlidesUri: Type should be text, not None",
    ),
    "choices as text": (
        lambda d, _: d["Parameters"][0].update(EnumValues="a"),
        "SlidesUri: EnumValues should be a list, not 'a'",
    ),
    "channel with two sources": (
        lambda _, s: s["TrainMsi"]["Arguments"]["InputDataConfig"][1]["DataSource"].update(
            S3DataSource={"S3Uri": "s3://b1x/y", "S3DataType": "S3Prefix"}
        ),
        "training should have S3DataSource or FileSystemDataSource, and has S3DataSource and FileSystemDataSource",
    ),
    "input of nowhere": (
        lambda _, s: s["PrepareMsi"]["Arguments"]["ProcessingInputs"][0].pop("S3Input"),
        "code should have S3Input or DatasetDefinition, and has neither",
    ),
    "output to nowhere": (
        lambda _, s: s["PrepareMsi"]["Arguments"]["ProcessingOutputConfig"]["Outputs"][0].pop("S3Output"),
        "prepared should have S3Output or FeatureStoreOutput, and has neither",
    ),
    "no name": (lambda d, _: d["Steps"][0].pop("Name"), "a step without a name: Name is missing"),
    "unknown member": (set_in(*TRAIN, "Chanels", value=[]), "TrainMsi: Unknown parameter"),
    "missing member": (lambda _, s: s["TrainMsi"]["Arguments"].pop("RoleArn"), "TrainMsi: Missing required parameter"),
    "wrong type": (set_in(*TRAIN, "ResourceConfig", "VolumeSizeInGB", value="30"), "TrainMsi: Invalid type for parameter"),
    "instance type": (
        set_in(*TRAIN, "ResourceConfig", "InstanceType", value="ml.g99.huge"),
        "TrainMsi: ResourceConfig.InstanceType: 'ml.g99.huge' is not one of the service's values",
    ),
    "default instance type": (
        lambda d, _: next(p for p in d["Parameters"] if p["Name"] == "TrainInstanceType").update(DefaultValue="ml.g99.huge"),
        "TrainMsi: ResourceConfig.InstanceType: 'ml.g99.huge'",
    ),
    "role": (set_in(*TRAIN, "RoleArn", value="arn:aws:iam::1:role/x-and-more-text"), "TrainMsi: RoleArn:"),
    "file system": (
        lambda _, s: s["TrainMsi"]["Arguments"]["InputDataConfig"][1]["DataSource"]["FileSystemDataSource"].update(
            FileSystemId="fs-nothexatall"
        ),
        "FileSystemId: 'fs-nothexatall' does not match",
    ),
    "no VPC with EFS": (
        lambda _, s: s["TrainMsi"]["Arguments"].pop("VpcConfig"),
        "TrainMsi: a channel on a file system needs VpcConfig",
    ),
    "efs in processing": (
        lambda _, s: s["CollectFeatures"]["Arguments"]["ProcessingInputs"][1]["S3Input"].update(S3Uri="efs://fs-11112222/x"),
        "CollectFeatures: input cohort is efs://fs-11112222/x",
    ),
    "tag": (
        set_in(*PREPARE, "AppSpecification", "ImageUri", value="repo:latest"),
        "PrepareMsi: image repo:latest: name it by digest",
    ),
    "spot without wait": (
        lambda _, s: s["TrainMsi"]["Arguments"]["StoppingCondition"].pop("MaxWaitTimeInSeconds"),
        "TrainMsi: spot training needs MaxWaitTimeInSeconds",
    ),
    "spot and warm pool": (set_in(*TRAIN, "ResourceConfig", "KeepAlivePeriodInSeconds", value=60), "exclude each other"),
    "spot without checkpoints": (lambda _, s: s["TrainMsi"]["Arguments"].pop("CheckpointConfig"), "without CheckpointConfig"),
    "wait without spot": (
        set_in("StageFeatures", "Arguments", "StoppingCondition", "MaxWaitTimeInSeconds", value=1),
        "goes with spot",
    ),
    "volume as variable": (
        set_in(*TRAIN, "ResourceConfig", "VolumeSizeInGB", value={"Get": "Parameters.Epochs"}),
        "TrainMsi: ResourceConfig.VolumeSizeInGB cannot be a pipeline variable",
    ),
    "unknown parameter": (
        set_in(*TRAIN, "HyperParameters", "epochs", value={"Get": "Parameters.Epoch"}),
        "Parameters.Epoch is not a valid parameter",
    ),
    "parameter that nothing reads": (
        set_in(*TRAIN, "HyperParameters", "epochs", value="7"),
        "parameter Epochs: no step reads it",
    ),
    "unknown variable": (
        set_in(*PREPARE, "Environment", "X", value={"Get": "Execution.Id"}),
        "Execution.Id is not a valid variable",
    ),
    "unknown step": (
        set_in(*TRAIN, "InputDataConfig", 4, "DataSource", "S3DataSource", "S3Uri", value={"Get": "Steps.Prepare.Outputs"}),
        "refers to unknown step Prepare",
    ),
    "unknown output": (
        set_in(
            *TRAIN,
            "InputDataConfig",
            4,
            "DataSource",
            "S3DataSource",
            "S3Uri",
            value={"Get": "Steps.PrepareMsi.ProcessingOutputConfig.Outputs['cohorts'].S3Output.S3Uri"},
        ),
        "PrepareMsi has no output 'cohorts'",
    ),
    "unknown property file": (lambda _, s: s["EvaluateMsi"].pop("PropertyFiles"), "EvaluateMsi has no property file"),
    "property file without output": (
        lambda _, s: s["EvaluateMsi"]["PropertyFiles"][0].update(OutputName="evaluations"),
        "lies in unknown output 'evaluations'",
    ),
    "two of a name": (lambda d, s: d["Steps"].append(s["PrepareMsi"]), "PrepareMsi: 2 steps have this name"),
    "cycle": (set_in("PrepareMsi", "DependsOn", value=["TrainMsi"]), "these steps wait for each other"),
    "depends on nothing": (set_in("PrepareMsi", "DependsOn", value=["Before"]), "DependsOn names 'Before'"),
    "retry both": (
        lambda _, s: s["TrainMsi"]["RetryPolicies"][0].update(ExpireAfterMin=5),
        "TrainMsi: a retry policy has MaxAttempts or ExpireAfterMin",
    ),
    "retry too often": (lambda _, s: s["TrainMsi"]["RetryPolicies"][0].update(MaxAttempts=21), "tries 21 times"),
    "job retry on register": (
        lambda _, s: s["RegisterMsi"]["RetryPolicies"][0].update(ExceptionType=["SageMaker.CAPACITY_ERROR"]),
        "RegisterMsi: SageMaker.CAPACITY_ERROR is for jobs",
    ),
    "too many inputs": (
        lambda _, s: s["PrepareMsi"]["Arguments"]["ProcessingInputs"].extend(
            [s["PrepareMsi"]["Arguments"]["ProcessingInputs"][0]] * 10
        ),
        "PrepareMsi: 11 inputs, over the service's 10",
    ),
    "too many metrics": (
        lambda _, s: s["TrainMsi"]["Arguments"]["AlgorithmSpecification"].update(
            MetricDefinitions=[{"Name": f"m{i}", "Regex": "x"} for i in range(41)]
        ),
        "TrainMsi: 41 metric definitions, over the service's 40",
    ),
    "long value": (set_in(*PREPARE, "Environment", "SM_HP_PROJECT", value="x" * 300), "300 characters is over the service's 256"),
    "step name": (set_in("PrepareMsi", "Name", value="Prepare_Msi"), "Prepare_Msi: a step's name"),
    "no default": (lambda d, _: d["Parameters"][0].pop("DefaultValue"), "parameter SlidesUri has no default"),
    "huge": (set_in(*PREPARE, "Environment", "X", value="x" * 1_100_000), "over the service's 1048576"),
    "nested condition": (
        lambda _, s: s["CheckMsi"]["Arguments"]["IfSteps"].append({**copy.deepcopy(s["CheckMsi"]), "Name": "Inner"}),
        "CheckMsi: conditions cannot be nested",
    ),
    "hyperparameter out of range": (
        lambda d, _: next(p for p in d["Parameters"] if p["Name"] == "Epochs").update(DefaultValue=0),
        "TrainMsi: train_msi_tcga: parameter Epochs: Input should be greater",
    ),
    "hyperparameter misspelt": (
        set_in(*TRAIN, "HyperParameters", "epoch", value="3"),
        "TrainMsi: train_msi_tcga: epoch: unknown key",
    ),
}


def test_the_real_definitions_run_here(compiled, compiled_local):
    """The one for example.yaml as well as the local one."""
    assert [list(problems(one.definition)) for one in (compiled, compiled_local)] == [[], []]


def test_the_real_definitions_have_no_problem(compiled, compiled_local):
    assert check(compiled.name, compiled.definition) == []
    assert check(compiled_local.name, compiled_local.definition) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(compiled, fault):
    plant, message = FAULTS[fault]
    messages = problems_of(compiled, plant)
    assert any(message in problem for problem in messages), messages
