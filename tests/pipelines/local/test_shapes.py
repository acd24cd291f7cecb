"""Every answer of the local client against botocore's model of the service's answer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from botocore.exceptions import ClientError

from pipelines.checks.shapes import service_model
from pipelines.local.endpoint_calls import EndpointCalls

TYPES = {
    "string": str,
    "integer": int,
    "long": int,
    "timestamp": datetime,
    "boolean": bool,
    "float": (int, float),
    "double": (int, float),
}


def faults(value, shape, where="answer"):
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            return [f"{where} is not a structure"]
        problems = [f"{where}.{key} is not in the model" for key in value if key not in shape.members]
        problems += [f"{where}.{key} is missing" for key in shape.required_members if key not in value]
        return problems + [
            f for key, item in value.items() if key in shape.members for f in faults(item, shape.members[key], f"{where}.{key}")
        ]
    if kind == "list":
        return [f for index, item in enumerate(value) for f in faults(item, shape.member, f"{where}[{index}]")]
    if kind == "map":
        return [f for key, item in value.items() for f in faults(item, shape.value, f"{where}[{key}]")]
    if not isinstance(value, TYPES[kind]):
        return [f"{where} is {type(value).__name__}, not {kind}"]
    return [f"{where} is {value!r}, none of {shape.enum}"] if kind == "string" and shape.enum and value not in shape.enum else []


class Checked:
    """A client whose every answer is held against the model."""

    def __init__(self, client):
        self.client, self.seen = client, set()

    def __getattr__(self, name):
        operation = "".join(part.title() for part in name.split("_"))
        model = service_model().operation_model(operation)

        def call(**request):
            answer = getattr(self.client, name)(**request)
            unknown = set(request) - set(model.input_shape.members)
            assert not unknown, f"{operation} has no argument {unknown}"
            if model.output_shape is not None:
                assert faults(answer, model.output_shape) == []
            self.seen.add(name)
            return answer

        return call


def public_calls(client):
    return {name for name in dir(client) if not name.startswith("_") and callable(getattr(client, name))}


def hosting_calls():
    """Those of models, configurations and endpoints, which test_hosting_calls.py holds against their shapes."""
    return {name for name in dir(EndpointCalls) if not name.startswith("_")}


def test_every_answer_has_the_services_shape(account, make):
    account.client = client = Checked(account.client)
    client.create_model_package_group(ModelPackageGroupName="models", ModelPackageGroupDescription="d")
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "models",
            "ModelApprovalStatus": "PendingManualApproval",
            "CustomerMetadataProperties": {"task": "msi"},
        },
        "DependsOn": ["Train", "First"],
    }
    account.pipeline(make.processing("First", "write", **make.cached), make.training("Train", "train"), register)
    account.run()
    execution, steps = account.run()
    arn = execution["PipelineExecutionArn"]
    assert "CacheHitResult" in steps["First"]
    client.describe_processing_job(ProcessingJobName=steps["First"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2])
    client.describe_training_job(TrainingJobName=steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2])
    client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    client.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    pipeline = client.describe_pipeline(PipelineName="test")
    client.update_pipeline(PipelineName="test", PipelineDefinition=pipeline["PipelineDefinition"], PipelineDescription="more")
    client.add_tags(ResourceArn=pipeline["PipelineArn"], Tags=[{"Key": "a", "Value": "b"}])
    assert client.list_tags(ResourceArn=pipeline["PipelineArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    client.delete_tags(ResourceArn=pipeline["PipelineArn"], TagKeys=["a"])
    assert client.list_tags(ResourceArn=pipeline["PipelineArn"])["Tags"] == []
    assert client.list_pipelines(PipelineNamePrefix="te", MaxResults=1)["PipelineSummaries"][0]["PipelineName"] == "test"
    client.list_pipeline_executions(PipelineName="test")
    client.describe_model_package_group(ModelPackageGroupName="models")
    client.list_model_package_groups()
    group = client.describe_model_package_group(ModelPackageGroupName="models")["ModelPackageGroupArn"]
    client.add_tags(ResourceArn=group, Tags=[{"Key": "team", "Value": "x"}])
    assert client.list_tags(ResourceArn=group)["Tags"] == [{"Key": "team", "Value": "x"}]
    version = client.create_model_package(ModelPackageGroupName="models")["ModelPackageArn"]
    client.update_model_package(ModelPackageArn=version, ModelApprovalStatus="Approved")
    assert client.describe_model_package(ModelPackageName=version)["ModelApprovalStatus"] == "Approved"
    assert len(client.list_model_packages(ModelPackageGroupName="models")["ModelPackageSummaryList"]) == 3
    client.delete_model_package(ModelPackageName=version)
    page = client.list_pipeline_execution_steps(PipelineExecutionArn=arn, MaxResults=2)
    assert len(page["PipelineExecutionSteps"]) == 2
    rest = client.list_pipeline_execution_steps(PipelineExecutionArn=arn, MaxResults=2, NextToken=page["NextToken"])
    assert len(rest["PipelineExecutionSteps"]) == 1
    assert "NextToken" not in rest
    client.delete_pipeline(PipelineName="test", ClientRequestToken="x" * 32)
    elsewhere = {"stop_pipeline_execution", "retry_pipeline_execution"} | hosting_calls()
    assert public_calls(client.client) - client.seen == elsewhere


def test_a_failed_executions_answers_have_the_services_shape(account, make):
    account.client = client = Checked(account.client)
    account.pipeline(make.processing("Bad", "fail_first"), make.training("Worse", "fail_first"))
    execution, steps = account.run()
    arn = execution["PipelineExecutionArn"]
    for step in steps.values():
        assert "not yet" in account.job(step)["FailureReason"]
    client.list_pipeline_executions(PipelineName="test")
    client.retry_pipeline_execution(PipelineExecutionArn=arn)
    client.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert account.wait(arn)["PipelineExecutionStatus"] in ("Stopped", "Failed")


def test_pages_are_refused_as_the_service_does(account, make):
    account.pipeline(make.processing("First", "write"))
    with pytest.raises(ClientError, match="NextToken"):
        account.client.list_pipelines(NextToken="x")
    with pytest.raises(ClientError, match="MaxResults"):
        account.client.list_pipelines(MaxResults=0)


def test_a_token_starts_one_execution(account, make):
    """Also when several callers come at once."""
    account.pipeline(make.processing("First", "write"))
    request = {"PipelineName": "test", "ClientRequestToken": "t" * 32}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: account.client.start_pipeline_execution(**request), range(6)))
    arns = {answer["PipelineExecutionArn"] for answer in answers}
    assert len(arns) == 1
    assert len(account.client.list_pipeline_executions(PipelineName="test")["PipelineExecutionSummaries"]) == 1
    account.wait(arns.pop())


@pytest.mark.parametrize(
    ("call", "arguments", "code"),
    [
        ("describe_pipeline", {"PipelineName": "none"}, "ResourceNotFound"),
        (
            "describe_pipeline_execution",
            {"PipelineExecutionArn": "arn:aws:sagemaker:us-east-1:000000000000:pipeline/x/execution/y"},
            "ResourceNotFound",
        ),
        ("describe_model_package_group", {"ModelPackageGroupName": "none"}, "ResourceNotFound"),
        ("describe_model_package", {"ModelPackageName": "none/1"}, "ResourceNotFound"),
        ("describe_processing_job", {"ProcessingJobName": "none"}, "ResourceNotFound"),
        ("create_model_package", {"ModelPackageGroupName": "none"}, "ValidationException"),
    ],
)
def test_what_is_not_there_is_answered_in_the_services_words(account, call, arguments, code):
    with pytest.raises(ClientError) as answered:
        getattr(account.client, call)(**arguments)
    assert answered.value.response["Error"]["Code"] == code


def test_two_of_a_name_are_refused(account, make):
    account.pipeline(make.processing("First", "write"))
    with pytest.raises(ClientError, match="must be unique"):
        account.pipeline(make.processing("First", "write"))
