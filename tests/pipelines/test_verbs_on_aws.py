"""The verbs on an execution in an AWS account: moto's server, and recorded answers for the calls that it lacks."""

import json
import time

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

PIPELINE = "arn:aws:sagemaker:us-east-1:111122223333:pipeline/pathology-msi"
ARN = f"{PIPELINE}/execution/abc123def456"
ON_AWS = ("--environment", "example")


def test_watch_follows_to_success_over_all_pages(server, recorded, quick, here, example):
    player = recorded("succeeded")
    folder = "runs/pathology-msi/abc123def456/EvaluateMsi/evaluation"
    interval = {"value": 0.91, "low": 0.85, "high": 0.96}
    names = ("auroc", "balanced_accuracy", "sensitivity", "specificity")
    evaluation = {"pathology": {"intervals": dict.fromkeys(names, interval), "confidence": 0.95, "task": "msi", "warnings": []}}
    boto3.client("s3").put_object(Bucket=example.bucket, Key=f"{folder}/evaluation.json", Body=json.dumps(evaluation).encode())
    done = here("watch", ARN, *ON_AWS)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "PrepareMsi: Succeeded after 190.2 s" in lines
    assert "ExtractFeatures: Executing (attempt 2)" in lines
    assert "ExtractFeatures: Succeeded after 5.0 s: cached" in lines
    assert "TrainMsi: Succeeded (attempt 2) after 3000.0 s" in lines
    assert "CheckMsi: Succeeded after 0.4 s: outcome True" in lines
    assert "AUROC: 0.910 (95% interval 0.850 to 0.960)" in lines
    assert (
        f"model package: {PIPELINE.rpartition(':')[0]}:model-package/pathology-msi/7 (version 7, PendingManualApproval)" in lines
    )
    assert f"report: s3://{example.bucket}/{folder}/report.html" in lines
    assert lines[-1] == "execution Succeeded"
    tokens = [body.get("NextToken") for operation, body in player.requests if operation == "ListPipelineExecutionSteps"]
    assert tokens == [None, None, "page-2", None, "page-2", "page-3"]


def test_watch_names_the_failed_step_its_words_and_the_permission(server, recorded, quick, here):
    recorded("failed")
    done = here("watch", ARN, *ON_AWS)
    assert done.code == 1
    assert "StageFeatures failed: ClientError: Failed to invoke sagemaker:CreateTrainingJob." in done.out
    assert (
        "  arn:aws:sts::111122223333:assumed-role/pathology-pipeline/SageMaker lacks the permission iam:PassRole on "
        "arn:aws:iam::111122223333:role/pathology-job: add it" in done.out
    )
    assert done.out.splitlines()[-1] == "execution Failed: Step failure: One or multiple steps failed."


def test_watch_gives_scripts_a_line_per_change(server, recorded, quick, here):
    recorded("failed")
    done = here("watch", ARN, *ON_AWS, "--json")
    (state,) = map(json.loads, done.out.splitlines())
    assert done.code == 1
    assert (state["id"], state["status"], len(state["steps"])) == ("abc123def456", "Failed", 4)
    extract = state["steps"][1]
    assert (extract["step"], extract["cached"], extract["attempts"], extract["seconds"]) == ("ExtractFeatures", True, 1, 5.0)
    assert extract["log"] == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/"
        "$252Faws$252Fsagemaker$252FProcessingJobs$3FlogStreamNameFilter$3D"
        "pipelines-abc123def456-ExtractFeatures-Xy12AbCd34$252F"
    )


def test_stop_waits_for_the_end_and_watch_then_says_stopped(server, recorded, quick, here):
    player = recorded("stopped")
    done = here("stop", ARN, *ON_AWS)
    assert (done.code, done.out) == (0, f"stopping {ARN}\nexecution Stopped\n")
    (sent,) = [body for operation, body in player.requests if operation == "StopPipelineExecution"]
    assert sent["PipelineExecutionArn"] == ARN
    assert len(sent["ClientRequestToken"]) >= 32
    assert here("watch", ARN, *ON_AWS).code == 3
    refused = here("stop", ARN, *ON_AWS)
    assert (refused.code, refused.err.splitlines()[-1]) == (2, f"error: execution {ARN} has ended already: Stopped")


def test_retry_follows_and_any_other_end_is_a_failure(server, recorded, quick, here):
    player = recorded("retried")
    done = here("retry", ARN, *ON_AWS, "--parallelism", "3")
    assert done.code == 1
    assert "StageFeatures failed at attempt 3: ClientError: Please use an instance type with more memory" in done.out
    assert "  log: https://" in done.out
    assert done.out.splitlines()[-1] == "execution CompletedWithFailures"
    (sent,) = [body for operation, body in player.requests if operation == "RetryPipelineExecution"]
    assert sent["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 3}


def test_what_has_not_failed_is_not_retried(server, recorded, quick, here):
    recorded("succeeded")
    refused = here("retry", ARN, *ON_AWS)
    assert refused.code == 2
    assert "is Executing: only one that failed or was stopped is retried" in refused.err


def test_watch_outlasts_a_lost_network(server, recorded, before_send, quick, here, capsys):
    """Longer than botocore's own tries: twenty requests in a row reach nobody."""
    lost = iter(range(20))

    def no_network(request, **_):
        if next(lost, None) is not None:
            raise EndpointConnectionError(endpoint_url=request.url)

    before_send(no_network)
    recorded("failed")
    done = here("watch", ARN, *ON_AWS)
    assert done.code == 1
    assert done.err.count("no answer from AWS") == 1


def test_a_network_that_stays_lost_ends_the_watch_in_one_line(server, before_send, quick, here, monkeypatch):
    monkeypatch.setattr("pipelines.service.polling._MAX_SILENCE", 0.0)

    def no_network(request, **_):
        raise EndpointConnectionError(endpoint_url=request.url)

    before_send(no_network)
    done = here("watch", ARN, *ON_AWS)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: AWS cannot be reached")


def test_executions_come_with_score_and_version_by_four_calls_each(server, recorded, here, example):
    player, listed = recorded("succeeded"), {"PipelineExecutionStatus": "Succeeded", "StartTime": 1794000000.0}
    job = player.answers["DescribeProcessingJob"][0]
    steps = [
        {"StepName": "EvaluateMsi", "Metadata": {"ProcessingJob": {"Arn": job["ProcessingJobArn"]}}},
        {"StepName": "CheckMsi", "Metadata": {"Condition": {"Outcome": "True"}}},
        {
            "StepName": "RegisterMsi",
            "Metadata": {"RegisterModel": {"Arn": f"{ARN.partition(':pipeline/')[0]}:model-package/pathology-msi/7"}},
        },
    ]
    player.answers["ListPipelineExecutions"] = [{"PipelineExecutionSummaries": [{"PipelineExecutionArn": ARN, **listed}] * 3}]
    player.answers["ListPipelineExecutionSteps"] = [
        {"PipelineExecutionSteps": [{**step, "StepStatus": "Succeeded"} for step in steps]}
    ]
    block = {"task": "msi", "confidence": 0.95, "intervals": {"auroc": {"value": 0.912, "low": 0.852, "high": 0.962}}}
    place = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].partition(f"{example.bucket}/")[2]
    body = json.dumps({"pathology": block}).encode()
    boto3.client("s3").put_object(Bucket=example.bucket, Key=f"{place}/evaluation.json", Body=body)
    done = here("executions", "--task", "msi", *ON_AWS)
    rows = [line.split()[4:] for line in done.out.splitlines()]
    assert (done.code, rows) == (0, [["Version", "Name"], *[["0.912", "7"]] * 3]), done.out + done.err
    asked = [operation for operation, _ in player.requests if operation != "ListPipelineExecutions"]
    assert len(asked) == 3 * 3, "and evaluation.json, which they share"


def test_logs_of_every_host_in_pages(server, recorded, quick, here):
    player = recorded("failed")
    player.answers["DescribePipelineDefinitionForExecution"] = [
        {
            "PipelineDefinition": json.dumps(
                {"Steps": [{"Name": name, "Type": "Processing"} for name in ("PrepareMsi", "TrainMsi")]}
            )
        }
    ]
    logs, group, now = boto3.client("logs"), "/aws/sagemaker/ProcessingJobs", int(time.time() * 1000)
    logs.create_log_group(logGroupName=group)
    job = "pipelines-abc123def456-PrepareMsi-Xy12AbCd34"
    for host, lines in (("algo-1-1794000010", 12_000), ("algo-2-1794000011", 3)):
        logs.create_log_stream(logGroupName=group, logStreamName=f"{job}/{host}")
        for start in range(0, lines, 10_000):
            events = [
                {"timestamp": now + number, "message": f"line {number}"} for number in range(start, min(start + 10_000, lines))
            ]
            logs.put_log_events(logGroupName=group, logStreamName=f"{job}/{host}", logEvents=events)
    logs.create_log_stream(logGroupName=group, logStreamName=f"{job}x/algo-1-1")
    done = here("logs", ARN, "PrepareMsi", *ON_AWS)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        *(f"algo-1 | line {number}" for number in range(12_000)),
        *(f"algo-2 | line {number}" for number in range(3)),
    ]
    as_json = here("logs", ARN, "PrepareMsi", *ON_AWS, "--json").out.splitlines()
    assert json.loads(as_json[-1]) == {"attempt": 1, "host": "algo-2", "timestamp": now + 2, "message": "line 2"}
    assert "TrainMsi has not started" in here("logs", ARN, "TrainMsi", *ON_AWS).err
    assert "Train is not a valid step" in here("logs", ARN, "Train", *ON_AWS).err


@pytest.mark.parametrize("verb", ["watch", "show", "metrics", "stop", "retry"])
def test_an_execution_that_is_not_there_is_one_line(server, here, verb):
    done = here(verb, ARN, *ON_AWS)
    assert (done.code, len([line for line in done.err.splitlines() if line.startswith("error: ")])) == (2, 1)
    assert ARN in done.err


def test_an_id_needs_its_task(server, here):
    done = here("watch", "abc123def456", *ON_AWS)
    assert (done.code, "say --task too" in done.err) == (2, True)


@pytest.fixture
def deployed(server, compiled):
    """The msi pipeline in moto."""
    boto3.client("sagemaker", region_name="us-east-1").create_pipeline(
        PipelineName=compiled.name, PipelineDefinition=compiled.text, RoleArn="arn:aws:iam::111122223333:role/pathology-pipeline"
    )


def test_a_dry_run_says_what_would_run_and_starts_nothing(deployed, here):
    done = here("start", "--task", "msi", *ON_AWS, "--dry-run", "--param", "ExtractInstanceCount=2")
    assert done.code == 0, done.err
    lines = [line.rstrip() for line in done.out.splitlines()]
    assert lines[0].split() == ["Step", "Instances", "Will"]
    assert "ExtractFeatures    2 × ml.g5.2xlarge      runs: it has not succeeded yet" in lines
    assert "TrainMsi           1 × ml.g5.xlarge spot  runs: it has not succeeded yet" in lines
    assert "RegisterMsi                               if CheckMsi decides so" in lines
    assert max(map(len, lines)) <= 80
    assert json.loads(here("executions", "--task", "msi", *ON_AWS, "--json").out) == []


def test_a_start_without_the_right_to_list_says_so_and_starts(deployed, before_send, aws_response, quick, here):
    words = (
        "User: arn:aws:sts::111122223333:assumed-role/author/me is not authorized to perform: sagemaker:ListPipelineExecutions "
        f"on resource: {PIPELINE}"
    )
    denied = {"__type": "AccessDeniedException", "message": words}

    def refuse(request, **_):
        return aws_response(400, denied) if b"ListPipelineExecutions" in request.headers.get("X-Amz-Target", b"") else None

    before_send(refuse)
    done = here("start", "--task", "msi", *ON_AWS, "--no-wait")
    assert (done.code, done.out.startswith("execution arn:aws:sagemaker:")) == (0, True), done.err
    assert "note: what the cache will answer is not known: arn:aws:sts::111122223333:assumed-role/author/me lacks" in done.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Epochs=1_000", "parameter Epochs='1_000': should be a whole number in plain digits"),
        ("TrainInstanceType=ml.g5.9xlarge", "parameter TrainInstanceType='ml.g5.9xlarge': TrainMsi: ResourceConfig.InstanceType"),
        (f"LabelsUri=s3://mine/{'x' * 250}", "SM_HP_LABELS]: 260 characters is over the service's 256"),
        ("SlidesUri=s3://mine", "parameter SlidesUri='s3://mine': is a whole bucket"),
    ],
)
def test_a_value_that_the_service_would_refuse_starts_nothing(deployed, here, given, message):
    done = here("start", "--task", "msi", *ON_AWS, "--param", given)
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert (done.code, done.out, message in line) == (2, "", True), line
    assert json.loads(here("executions", "--task", "msi", *ON_AWS, "--json").out) == []
