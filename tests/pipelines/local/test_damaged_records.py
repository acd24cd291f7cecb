"""One damaged record, or one disk that does not take what is written: what is said, and what stays."""

import errno
import json
import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pipelines.local import execution_calls
from tests.pipelines.local.damages import TASK, identity


@pytest.mark.parametrize("content", [b"", b'{"PipelineName": "pathology-msi", ', b"[]", b"{}"])
def test_a_damaged_execution_is_listed_as_such_and_passed_over(fresh, here, content):
    root, other, arn = fresh()
    path = root / "executions" / identity(arn) / "execution.json"
    path.write_bytes(content)
    listed = here("executions", *TASK, "--json")
    states = {item["id"]: (item["status"], item["reason"]) for item in json.loads(listed.out)}
    assert (listed.code, states[identity(other)]) == (0, ("Succeeded", None))
    assert states[identity(arn)][0] == "Damaged"
    assert str(path) in states[identity(arn)][1]
    latest = here("show", *TASK, "--json")
    assert (latest.code, json.loads(latest.out)["id"]) == (0, identity(other))
    assert f"execution {identity(arn)} is damaged and passed over: {path}" in latest.err
    shown = here("show", arn)
    assert shown.code == 2
    assert shown.err.splitlines()[-1].startswith(f"error: {path}: ")
    assert f"move the folder {path.parent} away" in shown.err


@pytest.mark.parametrize("content", [b"", b'{"execution": "x", "at": "yesterday"}'])
def test_a_damaged_cache_record_is_a_miss_and_is_written_again(account, make, content):
    account.pipeline(make.processing("First", "write", **make.cached))
    account.run()
    (path,) = (account.root / "cache").glob("*.json")
    path.write_bytes(content)
    execution, steps = account.run()
    assert (execution["PipelineExecutionStatus"], "CacheHitResult" in steps["First"]) == ("Succeeded", False)
    assert json.loads(path.read_text())["execution"] == execution["PipelineExecutionArn"]
    log = account.root / "executions" / identity(execution["PipelineExecutionArn"]) / "runner.log"
    assert f"{path}: " in log.read_text()


def test_a_start_that_the_disk_does_not_take_leaves_nothing(fresh, here, monkeypatch):
    root, _, _ = fresh()
    before = sorted(path.name for path in (root / "executions").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(execution_calls, "spawn", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full", "runner.log")))
        failed = here("start", *TASK, "--no-wait", "--token", "tonight")
    assert (failed.code, "no space left on device: make room" in failed.err) == (2, True)
    assert sorted(path.name for path in (root / "executions").iterdir()) == before
    assert here("start", *TASK, "--no-wait", "--token", "tonight").code == 0
    assert len(list((root / "executions").iterdir())) == len(before) + 1


def test_a_refusal_of_this_machine_is_not_said_to_be_one_of_aws(fresh, here):
    _, other, arn = fresh()
    refused = here("start", *TASK, "--no-wait", "--only", "Nothing")
    assert "AWS" not in refused.err
    job = next(Path(os.environ["PATHOLOGY_STATE"]).glob(f"jobs/*{identity(arn)}-Train*.json"))
    job.unlink()
    shown = here("show", arn)
    assert shown.code == 2
    assert "error: this machine refused DescribeTrainingJob: Requested resource not found: " in shown.err
    assert here("show", other).code == 0


def test_what_this_machine_answers_is_still_a_client_error(fresh):
    from pipelines.local.client import LocalSageMaker

    root, _, _ = fresh()
    with pytest.raises(ClientError, match="ResourceNotFound"):
        LocalSageMaker(root).describe_pipeline(PipelineName="none")
