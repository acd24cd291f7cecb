"""Definitions run as processes: data flows, conditions decide, failures say why."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from io import BytesIO

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.uris import Uri


def test_outputs_flow_to_inputs_and_into_arguments(account, make):
    account.pipeline(
        make.processing("First", "write", PropertyFiles=make.report("First")),
        make.processing(
            "Second", "copy", inputs={"data": make.get("First")}, environment={"SEEN": make.json_get("First", "list[1]")}
        ),
    )
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    job = account.client.describe_processing_job(
        ProcessingJobName=steps["Second"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    )
    folder = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert execution["PipelineExecutionArn"].rpartition("/")[2] in folder
    assert account.read(f"{folder}/algo-1-value.json").endswith(b"b")


def test_training_gets_channels_file_system_and_checkpoints(account, make):
    file_system = {
        "FileSystemDataSource": {
            "FileSystemId": "fs-00000000",
            "FileSystemType": "EFS",
            "DirectoryPath": "/features",
            "FileSystemAccessMode": "rw",
        }
    }
    account.pipeline(
        make.training(
            "Train",
            "train",
            channels={"shared": file_system},
            hyperparameters={"word": {"Get": "Parameters.Word"}},
            arguments={"CheckpointConfig": {"S3Uri": "s3://local/checkpoints/Train"}},
        ),
        make.processing("After", "copy", inputs={"data": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}, outputs=()),
        parameters=[{"Name": "Word", "Type": "String", "DefaultValue": "hello"}],
    )
    _, steps = account.run(Word="mine")
    assert (Uri.parse("efs://fs-00000000/features/from-job").under(account.root)).read_text() == "mine"
    assert account.read("s3://local/checkpoints/Train/last") == b"1"
    name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    model = account.client.describe_training_job(TrainingJobName=name)["ModelArtifacts"]["S3ModelArtifacts"]
    with tarfile.open(fileobj=BytesIO(account.read(model))) as tar:
        assert tar.getnames() == ["weights.bin"]


def test_a_folder_that_the_file_system_lacks_fails_as_a_mount_does(account, make):
    source = {"FileSystemId": "fs-00000000", "FileSystemType": "EFS", "DirectoryPath": "/elsewhere", "FileSystemAccessMode": "ro"}
    account.pipeline(make.training("Train", "train", channels={"shared": {"FileSystemDataSource": source}}))
    execution, _ = account.run()
    assert "efs://fs-00000000/elsewhere: the file system has no such folder" in execution["FailureReason"]


def test_steps_that_do_not_wait_for_each_other_run_at_once(account, make):
    account.pipeline(
        *(make.processing(f"Meet{n}", "meet", outputs=(), environment={"WHO": str(n), "WANTED": "2"}) for n in range(2))
    )
    execution, _ = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"


def test_hosts_run_at_once_and_share_sharded_input(account, make):
    for name in ("a", "b", "c"):
        account.store.write(Uri.parse(f"s3://local/data/{name}.txt"), name.encode())
    account.pipeline(
        make.processing("Meet", "meet", outputs=(), hosts=2, environment={"WHO": "x", "WANTED": "2"}),
        make.processing("Copy", "copy", inputs={"data": "s3://local/data"}, hosts=2),
    )
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    folder = Uri.parse(f"s3://local/runs/{execution['PipelineExecutionArn'].rpartition('/')[2]}/Copy/out")
    assert len(list(account.store.list(folder))) == 6
    assert steps["Meet"]["StepStatus"] == "Succeeded"


def gate(make, score):
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "models",
            "ModelApprovalStatus": {"Get": "Parameters.Approval"},
            "InferenceSpecification": {"Containers": [{"Image": "x", "ModelDataUrl": make.get("Score")}]},
        },
    }
    message = {
        "Std:Join": {
            "On": "",
            "Values": ["AUROC ", make.json_get("Score", "score.value"), " is below ", {"Get": "Parameters.Min"}],
        }
    }
    condition = {
        "Name": "Check",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [
                {
                    "Type": "GreaterThanOrEqualTo",
                    "LeftValue": make.json_get("Score", "score.value"),
                    "RightValue": {"Get": "Parameters.Min"},
                }
            ],
            "IfSteps": [{**register, "Arguments": {**register["Arguments"], "InferenceSpecification": {"Containers": []}}}],
            "ElseSteps": [{"Name": "Below", "Type": "Fail", "Arguments": {"ErrorMessage": message}}],
        },
    }
    parameters = [
        {"Name": "Min", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "Approval", "Type": "String", "DefaultValue": "Approved", "EnumValues": ["Approved", "Rejected"]},
    ]
    return [
        make.processing("Score", "write", PropertyFiles=make.report("Score"), environment={"SCORE": score}),
        condition,
    ], parameters


def test_condition_that_holds_registers(account, make):
    steps, parameters = gate(make, "0.8")
    account.pipeline(*steps, parameters=parameters)
    account.client.create_model_package_group(ModelPackageGroupName="models")
    execution, ran = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert "Below" not in ran
    assert ran["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    version = account.client.describe_model_package(ModelPackageName=ran["Register"]["Metadata"]["RegisterModel"]["Arn"])
    assert (version["ModelPackageVersion"], version["ModelApprovalStatus"]) == (1, "Approved")


def test_condition_that_does_not_hold_fails_with_the_message(account, make):
    steps, parameters = gate(make, "0.8")
    account.pipeline(*steps, parameters=parameters)
    account.client.create_model_package_group(ModelPackageGroupName="models")
    execution, ran = account.run(Min="0.9")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert ran["Below"]["FailureReason"] == "AUROC 0.8 is below 0.9"
    assert execution["FailureReason"] == "step Below: AUROC 0.8 is below 0.9"
    assert account.client.list_model_packages(ModelPackageGroupName="models")["ModelPackageSummaryList"] == []


def test_a_failure_gives_the_jobs_own_words_and_starts_nothing_after(account, make):
    account.pipeline(make.processing("Bad", "fail"), make.processing("After", "copy", inputs={"data": make.get("Bad")}))
    execution, steps = account.run()
    assert execution["FailureReason"] == "step Bad: AlgorithmError: the label table has no column label, exit code: 1"
    assert "After" not in steps


def test_a_failure_without_words_gives_the_last_line_of_the_log(account, make):
    account.pipeline(make.training("Bad", "fail_silently"))
    execution, _ = account.run()
    assert execution["FailureReason"].endswith("last line of the log, exit code: 3")


def test_an_input_that_is_not_there_fails_by_name(account, make):
    account.pipeline(make.processing("Read", "copy", inputs={"data": "s3://local/nothing"}))
    execution, _ = account.run()
    assert "no S3 objects found under s3://local/nothing" in execution["FailureReason"]


def test_a_death_is_retried_by_policy_and_the_attempts_are_shown(account, make):
    policy = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 3}
    account.pipeline(make.processing("Dies", "die", RetryPolicies=[policy]))
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert steps["Dies"]["AttemptCount"] == 3


def test_a_death_without_policy_is_the_end(account, make):
    account.pipeline(make.processing("Dies", "die"))
    execution, _ = account.run()
    assert "died of SIGKILL; its log ends: dying" in execution["FailureReason"]


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_stop_ends_the_jobs(account, make):
    account.pipeline(make.processing("Sleeps", "sleep"))
    arn = account.start()
    until(lambda: list(account.root.glob("executions/*/jobs/*/*/started")))
    account.client.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert account.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    assert account.steps(arn)["Sleeps"]["StepStatus"] == "Stopped"
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(account.root) not in listing


def test_a_runner_that_is_killed_is_noticed(account, make):
    account.pipeline(make.processing("Sleeps", "sleep"))
    arn = account.start()
    until(lambda: list(account.root.glob("executions/*/jobs/*/*/started")))
    found = subprocess.run(["pgrep", "-f", f"pipelines.local.runner {account.root}"], capture_output=True, text=True, check=True)
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    execution = account.wait(arn)
    assert (execution["PipelineExecutionStatus"], account.steps(arn)["Sleeps"]["StepStatus"]) == ("Failed", "Failed")
    assert "runner died" in execution["FailureReason"]
    subprocess.run(["pkill", "-9", "-f", "pathology.commands.sleep"], check=False)


def test_two_executions_at_once_do_not_meet(account, make):
    account.pipeline(make.processing("First", "write"))
    arns = [account.start() for _ in range(3)]
    assert {account.wait(arn)["PipelineExecutionStatus"] for arn in arns} == {"Succeeded"}
    assert len(set(arns)) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [({"Other": "1"}, "not defined"), ({"Count": "many"}, "not of type Integer"), ({"Kind": "c"}, "not of type String")],
)
def test_parameters_are_refused_as_the_service_does(account, make, given, said):
    parameters = [
        {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
        {"Name": "Kind", "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b"]},
    ]
    account.pipeline(make.processing("First", "write"), parameters=parameters)
    with pytest.raises(ClientError, match=said):
        account.start(**given)
    assert account.client.list_pipeline_executions(PipelineName="test")["PipelineExecutionSummaries"] == []


def test_a_definition_that_cannot_run_is_refused(account, make):
    with pytest.raises(ClientError, match="a step of type 'Tuning' is not one of"):
        account.pipeline({**make.processing("A", "write"), "Type": "Tuning"})
    with pytest.raises(ClientError, match="refers to step B"):
        account.pipeline(make.processing("A", "copy", inputs={"data": make.get("B")}))


def test_the_runner_needs_no_heavy_import():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, pipelines.local.client, pipelines.local.runner; print(sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"'torch'", "'sagemaker'", "'boto3'", "'pandas'"} & set(done.stdout.strip("[]\n").split(", "))
