"""Jobs that fail: in whose words, which failures a retry policy covers, and what of the pipeline still runs."""

import os
import signal
import subprocess

import pytest

from tests.waiting import until

INTERNAL = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 3}


def test_a_fault_of_the_machine_is_retried_by_policy_and_the_attempts_are_shown(account, make):
    """Twice the job's output cannot be kept, which is no fault of the job; the third attempt succeeds."""
    account.pipeline(make.processing("Clogs", "clog", RetryPolicies=[INTERNAL], environment={"TIMES": "2"}))
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded", execution.get("FailureReason")
    assert steps["Clogs"]["AttemptCount"] == 3
    records = sorted(
        (account.client.describe_processing_job(ProcessingJobName=path.stem) for path in (account.root / "jobs").glob("*.json")),
        key=lambda job: job["CreationTime"],
    )
    assert [job["ProcessingJobStatus"] for job in records] == ["Failed", "Failed", "Completed"]
    assert all("InternalServerError" in job["FailureReason"] for job in records[:2])


def test_a_policy_runs_out(account, make):
    once = {**INTERNAL, "MaxAttempts": 1}
    account.pipeline(make.processing("Clogs", "clog", RetryPolicies=[once], environment={"TIMES": "99"}))
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert steps["Clogs"]["AttemptCount"] == 1 + once["MaxAttempts"]
    assert "InternalServerError" in steps["Clogs"]["FailureReason"]


def test_a_full_disk_is_not_tried_again(monkeypatch, tmp_path):
    import errno

    from pipelines.local.jobs import _failed

    full = _failed(OSError(errno.ENOSPC, "No space left on device"))
    assert full.kind == "ClientError"
    assert "make room" in str(full)


@pytest.mark.parametrize("command", ["die", "fail"])
def test_a_jobs_own_failure_is_not_covered(account, make, command):
    """As on AWS, where a container that was killed, of memory say, is an AlgorithmError too."""
    account.pipeline(make.processing("Bad", command, RetryPolicies=[INTERNAL]))
    _, steps = account.run()
    assert (steps["Bad"]["StepStatus"], steps["Bad"]["AttemptCount"]) == ("Failed", 1)
    assert steps["Bad"]["FailureReason"].startswith("AlgorithmError: ")


def test_a_killed_job_fails_as_a_container_does_and_its_workers_end(account, make):
    account.pipeline(make.processing("Works", "work"))
    arn = account.start()
    pids = wait_for_pids(account)
    os.kill(pids[0], signal.SIGKILL)
    execution = account.wait(arn)
    assert execution["FailureReason"] == "step Works: AlgorithmError: working with 1 worker, exit code: 137 (SIGKILL)"
    until(lambda: not state_of(pids[1]).strip("Z"), "the worker's end")


def state_of(pid):
    """A process's state as ps has it, nothing when there is none."""
    return subprocess.run(["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True, check=False).stdout.strip()


def wait_for_pids(account):
    until(lambda: list(account.root.glob("executions/*/jobs/*/*/pids")), "a job that started")
    (path,) = account.root.glob("executions/*/jobs/*/*/pids")
    return [int(word) for word in path.read_text().split()]


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


def test_a_failed_job_can_be_described_and_its_log_found(account, make):
    account.pipeline(make.processing("Bad", "fail"))
    _, steps = account.run()
    job = account.job(steps["Bad"])
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Failed", "the label table has no column label")
    assert job["FailureReason"] == steps["Bad"]["FailureReason"]
    assert account.client.state.job_logs(job["ProcessingJobName"])[0].read_text() == "about to fail\n"


def test_one_host_that_fails_ends_the_others_and_is_the_one_that_is_named(account, make):
    """The other host would sleep for longer than the test waits."""
    account.pipeline(make.processing("Hosts", "second_fails", hosts=2))
    execution, _ = account.run()
    assert execution["FailureReason"].endswith("algo-2 could not go on, exit code: 4")
    until(lambda: not account.processes(), "the end of every process")


def test_what_runs_beside_a_failure_ends_well_and_nothing_follows(account, make):
    account.pipeline(
        make.processing("Bad", "fail"),
        make.processing("Beside", "after_the_failure"),
        make.processing("After", "copy", inputs={"data": make.get("Beside")}),
    )
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert {name: step["StepStatus"] for name, step in steps.items()} == {"Bad": "Failed", "Beside": "Succeeded"}


def test_a_job_that_runs_too_long_is_ended(account, make):
    step = make.processing("Sleeps", "sleep")
    step["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 1}
    account.pipeline(step)
    execution, _ = account.run()
    assert "ran longer than 1 s" in execution["FailureReason"]


def test_a_folder_that_the_file_system_lacks_fails_as_a_mount_does(account, make):
    source = {"FileSystemId": "fs-00000000", "FileSystemType": "EFS", "DirectoryPath": "/elsewhere", "FileSystemAccessMode": "ro"}
    account.pipeline(make.training("Train", "train", channels={"shared": {"FileSystemDataSource": source}}))
    execution, _ = account.run()
    assert "efs://fs-00000000/elsewhere: the file system has no such folder" in execution["FailureReason"]
