"""Executions that are stopped, whose runner dies, or that are retried."""

import os
import signal

import pytest
from botocore.exceptions import ClientError

from tests.waiting import until


@pytest.fixture
def started(account, make):
    """``started("sleep")``: an execution whose one job has started; its ARN."""

    def start(command):
        account.pipeline(make.processing("Sleeps", command))
        arn = account.start()
        account.asleep()
        return arn

    return start


@pytest.mark.parametrize("command", ["sleep", "deaf"])
def test_stop_ends_the_jobs_even_those_that_do_not_listen(account, started, command):
    arn = started(command)
    (leader,) = account.leaders()
    assert account.processes(), "the runner at least names the folder"
    running = account.job(account.steps(arn)["Sleeps"])
    assert running["ProcessingJobStatus"] == "InProgress"
    account.client.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert account.client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] in (
        "Stopping",
        "Stopped",
    )
    assert account.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    until(lambda: not account.processes(), "the end of every process")
    assert not account.lives(leader)
    step = account.steps(arn)["Sleeps"]
    assert (step["StepStatus"], account.job(step)["ProcessingJobStatus"]) == ("Stopped", "Stopped")


def test_what_has_ended_cannot_be_stopped(account, make):
    account.pipeline(make.processing("First", "write"))
    execution, _ = account.run()
    with pytest.raises(ClientError, match="has ended"):
        account.client.stop_pipeline_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])


def test_a_runner_that_is_killed_is_noticed_and_its_jobs_end(account, started):
    arn = started("sleep")
    (leader,) = account.leaders()
    (runner,) = account.runners()
    os.kill(runner, signal.SIGKILL)
    execution = account.wait(arn)
    assert (execution["PipelineExecutionStatus"], account.steps(arn)["Sleeps"]["StepStatus"]) == ("Failed", "Failed")
    assert "runner died" in execution["FailureReason"]
    until(lambda: not account.lives(leader), "the end of the job")


def test_a_killed_runner_can_be_retried(account, make):
    account.pipeline(
        make.processing("Before", "once", environment={"WHO": "before"}),
        make.processing("Dies", "sleep_once", inputs={"data": make.get("Before")}),
        make.processing("After", "once", inputs={"data": make.get("Dies")}, environment={"WHO": "after"}),
    )
    arn = account.start()
    account.asleep()
    (runner,) = account.runners()
    os.kill(runner, signal.SIGKILL)
    assert account.wait(arn)["PipelineExecutionStatus"] == "Failed"
    (account.root / "healed").touch()
    account.client.retry_pipeline_execution(PipelineExecutionArn=arn)
    assert account.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert [(account.root / "ran" / name).read_text() for name in ("before", "after")] == ["x", "x"]


def test_retry_runs_what_failed_and_what_follows_and_nothing_before(account, make):
    check = {
        "Name": "Check",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
            "IfSteps": [make.processing("After", "once", inputs={"data": make.get("Bad")}, environment={"WHO": "after"})],
            "ElseSteps": [{"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
        },
    }
    account.pipeline(
        make.processing("Before", "once", environment={"WHO": "before"}),
        make.processing("Bad", "fail_first", inputs={"data": make.get("Before")}),
        check,
    )
    execution, steps = account.run()
    arn = execution["PipelineExecutionArn"]
    assert execution["FailureReason"].endswith("not yet, exit code: 1")
    assert steps["Check"]["StepStatus"] == "Succeeded"
    (account.root / "healed").touch()
    account.client.retry_pipeline_execution(PipelineExecutionArn=arn)
    again = account.wait(arn)
    assert (again["PipelineExecutionStatus"], again.get("FailureReason")) == ("Succeeded", None)
    assert set(account.steps(arn)) == {"Before", "Bad", "Check", "After"}
    assert [(account.root / "ran" / name).read_text() for name in ("before", "after")] == ["x", "x"]
    with pytest.raises(ClientError, match="not Failed or Stopped"):
        account.client.retry_pipeline_execution(PipelineExecutionArn=arn)
