"""What a person sees on a terminal while an execution runs."""

import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from rich.console import Console

from pipelines.service.executions import ExecutionState, Progress, StepState
from pipelines.service.following import _live, ending
from pipelines.service.interruption import FollowingInterruptedError, goes_on
from pipelines.tables import steps_table

THEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
JOB = "arn:aws:sagemaker:us-east-1:111122223333:training-job/x"


def step(name, status, **more):
    whole = {
        "step": name,
        "status": status,
        "started": THEN,
        "ended": None,
        "seconds": 12.3,
        "attempts": 1,
        "cached": False,
        "reused": None,
        "reason": "",
        "job": JOB,
        "log": "https://logs.test/x",
        "model_package": None,
        **more,
    }
    return StepState(**whole)


def state(status, *steps, reason=None):
    return ExecutionState("arn:x/execution/abc", "mine", status, THEN, THEN + timedelta(minutes=1), 60.0, reason, tuple(steps))


def test_a_terminal_shows_the_last_state_with_a_link_to_the_log():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, legacy_windows=False)
    states = [
        state("Executing", step("TrainMsi", "Executing")),
        state("Failed", step("PrepareMsi", "Succeeded", cached=True), step("TrainMsi", "Failed", attempts=2, reason="w" * 200)),
    ]
    last = _live(iter(states), console)
    text = console.file.getvalue()
    assert last is states[-1]
    assert "\x1b]8;" in text, "a hyperlink"
    assert "https://logs.test/x" in text
    assert all(word in text for word in ("TrainMsi", "Failed", "yes", "Tries"))


def test_a_running_step_says_how_far_it_is_in_80_columns():
    far = step("ExtractFeatures", "Executing", seconds=12345.6, attempts=2, progress=Progress(slides=(1234, 5678)))
    epoch = step("TrainMsi", "Executing", progress=Progress(fold=(2, 5), epoch=(13, 20)))
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(steps_table([far, epoch]))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].rstrip().endswith("1234 of 5678 slides")
    assert " ".join((lines[2] + lines[3]).split()).endswith("fold 2 of 5, epoch 13 of 20")


def test_the_end_says_each_failure_whole_and_the_execution_once():
    reason = "AlgorithmError: no column label, exit code: 1"
    failed = state("Failed", step("TrainMsi", "Failed", attempts=2, reason=reason), reason=f"step TrainMsi: {reason}")
    assert list(ending(failed)) == [f"TrainMsi failed at attempt 2: {reason}", "  log: https://logs.test/x", "execution Failed"]
    unexplained = state("Failed", step("TrainMsi", "Succeeded"), reason="The pipeline was out of its depth.")
    assert list(ending(unexplained)) == ["execution Failed: The pipeline was out of its depth."]
    assert (failed.exit_code, state("Stopped").exit_code, state("CompletedWithFailures").exit_code) == (1, 3, 1)


@pytest.mark.parametrize(("given", "option"), [(None, ""), ("my envs/dev.yaml", " --environment 'my envs/dev.yaml'")])
def test_ctrl_c_names_the_commands_for_the_same_account(given, option):
    session = SimpleNamespace(environment=SimpleNamespace(local=False), given=given)
    with pytest.raises(FollowingInterruptedError) as ended, goes_on(session, "arn:x/execution/abc"):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert str(ended.value) == (
        f"interrupted; execution abc goes on on AWS: watch it with python -m pipelines.watch arn:x/execution/abc{option}, "
        f"end it with python -m pipelines.stop arn:x/execution/abc{option}"
    )
