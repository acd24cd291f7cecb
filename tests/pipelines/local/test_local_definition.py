"""What cannot run here is refused by name when a pipeline is created, before anything starts."""

import json

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.uris import Uri

ROLE = "arn:aws:iam::000000000000:role/local"


def change_input(step):
    return step["Arguments"]["ProcessingInputs"][0]["S3Input"]


FAULTS = {
    "a step of type 'Tuning' is not one of": lambda step, whole: step.update(Type="Tuning"),
    "refers to unknown step B": lambda step, whole: change_input(step).update(
        S3Uri={"Get": "Steps.B.ModelArtifacts.S3ModelArtifacts"}
    ),
    "Std:Sum is not known here": lambda step, whole: step["Arguments"]["Environment"].update(A={"Std:Sum": [1, 2]}),
    "a Std:JsonGet names no PropertyFile": lambda step, whole: step["Arguments"]["Environment"].update(
        A={"Std:JsonGet": {"S3Uri": "x", "Path": "a"}}
    ),
    "Execution.MlflowRunName is not known": lambda step, whole: step["Arguments"]["Environment"].update(
        A={"Get": "Execution.MlflowRunName"}
    ),
    "IterationOf is not known here": lambda step, whole: step.update(IterationOf="x"),
    "ExperimentTags is not known here": lambda step, whole: step["Arguments"].update(ExperimentTags=[]),
    "ProcessingResources is missing": lambda step, whole: step["Arguments"].pop("ProcessingResources"),
    "ContainerEntrypoint .'bash'. does not run here": lambda step, whole: step["Arguments"]["AppSpecification"].update(
        ContainerEntrypoint=["bash"]
    ),
    "S3DataType 'ManifestFile' does not run": lambda step, whole: change_input(step).update(S3DataType="ManifestFile"),
    "S3InputMode 'Pipe' does not run": lambda step, whole: change_input(step).update(S3InputMode="Pipe"),
    "S3UploadMode 'Continuous' does not run": lambda step, whole: step["Arguments"]["ProcessingOutputConfig"]["Outputs"][0][
        "S3Output"
    ].update(S3UploadMode="Continuous"),
    "Version '2030-01-01' is not": lambda step, whole: whole.update(Version="2030-01-01"),
    "Schedule is not known here": lambda step, whole: whole.update(Schedule={}),
    "is of type 'Date'": lambda step, whole: whole["Parameters"].append({"Name": "P", "Type": "Date"}),
    "wait for each other": lambda step, whole: step.update(DependsOn=["A"]),
    "a condition of type 'Near' is not": lambda step, whole: whole["Steps"].append(
        {
            "Name": "C",
            "Type": "Condition",
            "Arguments": {"Conditions": [{"Type": "Not", "Condition": {"Type": "Near"}}], "IfSteps": [], "ElseSteps": []},
        }
    ),
}


@pytest.mark.parametrize("message", FAULTS)
def test_what_cannot_run_here_is_refused_by_name(account, make, message):
    step = make.processing("A", "write")
    whole = {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [step]}
    FAULTS[message](step, whole)
    with pytest.raises(ClientError, match=message) as refused:
        account.client.create_pipeline(PipelineName="p", PipelineDefinition=json.dumps(whole), RoleArn=ROLE)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert account.client.list_pipelines()["PipelineSummaries"] == []


def test_an_update_that_cannot_run_changes_nothing(account, make):
    account.pipeline(make.processing("A", "write"))
    before = account.client.describe_pipeline(PipelineName="test")
    with pytest.raises(ClientError, match="Unable to parse"):
        account.client.update_pipeline(PipelineName="test", PipelineDefinition="{")
    assert account.client.describe_pipeline(PipelineName="test") == before


def test_an_argument_that_is_not_understood_is_refused_and_not_dropped(account, make):
    account.pipeline(make.processing("A", "write"))
    with pytest.raises(ClientError, match="PipelineVersionId is not supported by local runs"):
        account.client.start_pipeline_execution(PipelineName="test", PipelineVersionId=3)
    assert account.client.list_pipeline_executions(PipelineName="test")["PipelineExecutionSummaries"] == []


def test_a_definition_in_the_store(account, make):
    text = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [make.processing("A", "write")]})
    account.store.write(Uri.parse("s3://local/definitions/p.json"), text.encode())
    location = {"Bucket": "local", "ObjectKey": "definitions/p.json"}
    account.client.create_pipeline(PipelineName="p", PipelineDefinitionS3Location=location, RoleArn=ROLE)
    assert account.client.describe_pipeline(PipelineName="p")["PipelineDefinition"] == text


@pytest.mark.parametrize("name", ["../p", "a_b", "", "x" * 257])
def test_names_that_the_service_refuses(account, make, name):
    with pytest.raises(ClientError, match="failed to satisfy constraint"):
        account.pipeline(make.processing("A", "write"), name=name)


def test_values_of_the_wrong_type_fail_the_step_as_the_service_refuses_them(account, make):
    account.pipeline(
        make.processing("A", "write", environment={"SCORE": {"Get": "Parameters.N"}}),
        parameters=[{"Name": "N", "Type": "Integer", "DefaultValue": 3}],
    )
    execution, _ = account.run()
    assert "Environment.SCORE is 3, and has to be a string" in execution["FailureReason"]
