"""What start says before it starts, on an account in which a pipeline has run once: held against what then comes of it."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from pipelines.local import execution_calls

TASK = ("--task", "msi")
PIPELINE = "pathology-msi"
PARAMETERS = [
    {"Name": "Score", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Epochs", "Type": "Integer", "DefaultValue": 3},
    {"Name": "Rate", "Type": "Float", "DefaultValue": 0.001},
    {"Name": "Hosts", "Type": "Integer", "DefaultValue": 1},
]


def value_of(name):
    return {"Std:Join": {"On": "", "Values": [{"Get": f"Parameters.{name}"}]}}


def graph(make, **changed):
    """Prepare, never cached → Extract, by what Prepare found → Train, spot, where Extract wrote → Evaluate, of Train's model."""
    spot = {"EnableManagedSpotTraining": True}
    train = make.training(
        "Train",
        "train",
        channels={"features": make.get("Extract")},
        hyperparameters={"epochs": value_of("Epochs"), "rate": value_of("Rate")},
        arguments=spot,
        **make.cached,
    )
    train["Arguments"]["StoppingCondition"]["MaxWaitTimeInSeconds"] = 600
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    found = make.json_get("Prepare", "score.value")
    check = {"Type": "Equals", "LeftValue": make.json_get("Evaluate", "list[0]"), "RightValue": 1}
    steps = {
        "Prepare": make.processing(
            "Prepare", "write", environment={"SCORE": value_of("Score")}, PropertyFiles=make.report("Prepare")
        ),
        "Extract": make.processing(
            "Extract", "write", environment={"SEEN": found_text(found)}, hosts={"Get": "Parameters.Hosts"}, **make.cached
        ),
        "Train": train,
        "Evaluate": make.processing(
            "Evaluate", "write", inputs={"model": model}, PropertyFiles=make.report("Evaluate"), **make.cached
        ),
        "Check": {
            "Name": "Check",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [check],
                "IfSteps": [{"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": PIPELINE}}],
                "ElseSteps": [{"Name": "Below", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
            },
        },
    }
    return list({**steps, **changed}.values())


def found_text(node):
    return {"Std:Join": {"On": "", "Values": [node]}}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, open_account, make):
    """The folder of the account after one execution, and that one's id."""
    account = open_account(tmp_path_factory.mktemp("ran") / "state")
    account.client.create_model_package_group(ModelPackageGroupName=PIPELINE)
    account.pipeline(*graph(make), parameters=PARAMETERS, name=PIPELINE)
    arn = account.start(PIPELINE)
    assert account.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    return account.root, arn.rpartition("/")[2]


@pytest.fixture
def again(ran, tmp_path, open_account, monkeypatch):
    """A copy of it; ``first`` is the execution's id."""
    folder, first = ran
    shutil.copytree(folder, tmp_path / "state", symlinks=True)
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path / "state"))
    account = open_account(tmp_path / "state")
    account.first = first
    return account


@pytest.fixture
def told(again, here):
    """``told("--param", "Epochs=4")``: a dry run's steps by name, its notes, and that nothing was written."""

    def call(*options):
        before = files(again.root)
        done = here("start", *TASK, "--dry-run", "--json", *options)
        assert done.code == 0, done.err
        assert files(again.root) == before
        plan = json.loads(done.out)
        return {step["step"]: step for step in plan["steps"]}, plan

    return call


@pytest.fixture
def unmanned(monkeypatch):
    """No process runs what is started."""
    monkeypatch.setattr(execution_calls, "spawn", lambda root, execution, lock: os.close(lock))


def files(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"}


def states(steps):
    return {name: step["state"] for name, step in steps.items()}


def as_before(*steps, first):
    return [{"step": step, "execution": first} for step in steps]


def test_unchanged_it_hangs_on_what_prepare_finds(again, told):
    steps, plan = told()
    jobs = dict.fromkeys(("Extract", "Train", "Evaluate"), "cached-if")
    assert states(steps) == {"Prepare": "runs", **jobs, "Check": "runs", "Register": "runs", "Below": "runs"}
    for name in jobs:
        assert (steps[name]["execution"], steps[name]["conditions"]) == (again.first, as_before("Prepare", first=again.first))
    assert (steps["Register"]["behind"], steps["Train"]["spot"], steps["Extract"]["spot"]) == ("Check", True, False)
    assert (steps["Train"]["instance_count"], steps["Train"]["instance_type"]) == (1, "ml.m5.large")
    assert steps["Check"]["instance_type"] is None
    assert (plan["executions"], plan["notes"], plan["source"]) == ([again.first], [], None)


def test_and_what_then_runs_is_what_was_told(again, told):
    """The condition holds in the first run, and not in the second."""
    for given, holds in (((), True), (("Score=0.6",), False)):
        steps, _ = told(*(f"--param={text}" for text in given))
        expected = {name for name, step in steps.items() if step["state"] == "cached-if"}
        arn = again.start(PIPELINE, **dict(text.split("=") for text in given))
        again.wait(arn)
        hits = {name for name, step in again.steps(arn).items() if "CacheHitResult" in step}
        assert expected == {"Extract", "Train", "Evaluate"}
        assert hits == (expected if holds else set())


def test_a_changed_parameter_is_named_and_runs_with_what_follows(again, told):
    steps, _ = told("--param", "Epochs=4", "--param", "Hosts=2")
    assert states(steps) | {"Prepare": "runs"} == {**states(steps), "Extract": "cached-if", "Train": "runs", "Evaluate": "runs"}
    assert steps["Train"]["reason"] == f"epochs not as in {again.first}"
    assert steps["Evaluate"]["reason"] == "it reads what Train makes"
    assert steps["Extract"]["instance_count"] == 2


def test_a_number_that_is_written_otherwise_leaves_it_open(again, told):
    """Whether the service compares numbers or texts is not documented."""
    steps, _ = told("--param", "Rate=1e-3")
    assert (steps["Train"]["state"], steps["Train"]["reason"]) == ("unknown", f"rate is written otherwise in {again.first}")
    assert (steps["Evaluate"]["state"], steps["Evaluate"]["reason"]) == ("unknown", "as Train")
    assert states(told("--param", "Rate=0.001")[0])["Train"] == "cached-if"


def test_of_several_executions_the_newest_that_is_like_it_answers(again, told):
    other = again.start(PIPELINE, Epochs="4")
    again.wait(other)
    assert {name for name, step in again.steps(other).items() if "CacheHitResult" in step} == {"Extract"}
    steps, plan = told()
    assert plan["executions"] == [other.rpartition("/")[2], again.first]
    assert [steps[name]["execution"] for name in ("Extract", "Train")] == [again.first, again.first]
    newest, _ = told("--param", "Epochs=4")
    assert newest["Train"]["execution"] == newest["Evaluate"]["execution"] == other.rpartition("/")[2]
    assert newest["Extract"]["execution"] == again.first


def update(account, steps):
    text = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": PARAMETERS, "Steps": steps})
    account.client.update_pipeline(PipelineName=PIPELINE, PipelineDefinition=text)


def test_other_code_a_step_that_is_new_and_no_cache(again, told, make):
    code = make.processing("Extract", "copy", environment={"SEEN": found_text(make.json_get("Prepare", "score.value"))})
    new = make.processing("New", "write", **make.cached)
    update(again, graph(make, Extract={**code, **make.cached}, New=new))
    steps, _ = told()
    assert steps["Extract"]["reason"] == f"image not as in {again.first}"
    assert (steps["New"]["state"], steps["New"]["reason"]) == ("runs", "it has not succeeded yet")
    update(again, graph(make, Extract=code))
    assert (told()[0]["Extract"]["state"], told()[0]["Extract"]["reason"]) == ("runs", "")


def test_a_step_that_hangs_on_nothing_is_answered(again, told, make, here):
    update(again, [make.processing("Alone", "write", **make.cached)])
    again.wait(again.start(PIPELINE))
    (step,) = told()[0].values()
    assert (step["state"], step["conditions"]) == ("cached", [])
    assert f"cached from {step['execution']}" in here("start", *TASK, "--dry-run").out


def test_a_result_that_is_too_old_is_said(again, told):
    for path in again.root.glob(f"executions/{again.first}/steps/*.json"):
        record = json.loads(path.read_text())
        record["EndTime"] = (datetime.now(UTC) - timedelta(days=31)).isoformat()
        path.write_text(json.dumps(record))
    steps, _ = told()
    assert steps["Extract"]["reason"] == f"the result of {again.first} is older than P30D"
    assert states(steps)["Train"] == "runs"


def test_steps_alone_read_what_the_source_has(again, told, here):
    steps, plan = told("--only", "Train,Evaluate")
    assert states(steps) == {"Train": "cached", "Evaluate": "cached"}
    assert plan["source"] == again.first
    changed, _ = told("--only", "Train,Evaluate", "--param", "Epochs=9")
    assert states(changed) == {"Train": "runs", "Evaluate": "runs"}
    assert f"All else is taken from {again.first}." in here("start", *TASK, "--dry-run", "--only", "Train").out


@pytest.mark.parametrize("damage", ["execution.json", "definition.json", "steps/Extract.json"])
def test_an_execution_that_cannot_be_read_leaves_it_unknown_and_starts_all_the_same(again, told, here, unmanned, damage):
    (again.root / "executions" / again.first / damage).write_bytes(b"{")
    steps, plan = told()
    assert states(steps)["Extract"] == states(steps)["Train"] == "unknown"
    (note,) = plan["notes"]
    assert again.first in note
    done = here("start", *TASK, "--no-wait")
    assert (done.code, f"note: {note}" in done.err) == (0, True)


def test_no_right_to_list_is_a_line_and_no_failure(again, told, here, monkeypatch):
    denied = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}

    def refuse(self, **_):
        raise ClientError(denied, "ListPipelineExecutions")

    monkeypatch.setattr(type(again.client), "list_pipeline_executions", refuse)
    steps, plan = told()
    assert states(steps)["Extract"] == "unknown"
    assert plan["notes"][0].startswith("what the cache will answer is not known: these credentials lack the permission")
    monkeypatch.undo()


def test_more_executions_than_are_looked_at_leave_it_open(again, told, unmanned, monkeypatch):
    monkeypatch.setattr("pipelines.service.earlier.MAX_READ", 1)
    other = again.start(PIPELINE)
    again.client.describe_pipeline_execution(PipelineExecutionArn=other)  # whoever looks first brings it to its end
    steps, plan = told("--param", "Epochs=5")
    assert states(steps)["Train"] == states(steps)["Evaluate"] == "unknown"
    assert plan["notes"] == ["only the last 1 executions are looked at"]
    assert plan["executions"] == [other.rpartition("/")[2]]
    assert steps["Evaluate"]["reason"] == "as Train"


def test_a_start_says_it_beside_its_output(again, here, unmanned):
    done = here("start", *TASK, "--no-wait", "--token", "tonight")
    assert [line.split()[0] for line in done.out.splitlines()] == ["execution"]
    table = done.err.splitlines()[1:]
    assert max(map(len, table[:9])) <= 80
    assert table[0].split() == ["Step", "Instances", "Will"]
    assert "Extract" in done.err and f"cached if Prepare finds the same as in {again.first}" in " ".join(done.err.split())
    assert "1 × ml.m5.large spot" in done.err
    assert "note: a --token that has started an execution before starts no other" in done.err
    plan, started = [json.loads(line) for line in here("start", *TASK, "--json", "--no-wait").out.splitlines()]
    assert set(plan) == {"pipeline", "steps", "source", "executions", "notes"}
    step = {"step", "type", "state", "instance_type", "instance_count", "spot", "execution", "conditions", "reason", "behind"}
    assert {frozenset(one) for one in plan["steps"]} == {frozenset(step)}
    assert set(started) == {"execution"}


def test_scripts_get_the_plan_the_execution_and_its_states_a_line_each(again, here):
    done = here("start", *TASK, "--json")
    plan, started, *changes = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, changes[-1]["arn"], changes[-1]["status"]) == (0, started["execution"], "Succeeded")
    cached = {step["step"] for step in changes[-1]["steps"] if step["cached"]}
    assert cached == {step["step"] for step in plan["steps"] if step["state"] == "cached-if"}


def test_wrong_values_are_refused_before_anything_is_said(again, here):
    before = files(again.root)
    for options in (("--param", "Epochs=1_000"), ("--param", "Hosts=101"), ("--parallelism", "1_0"), ("--parallelism", "0")):
        for dry in ((), ("--dry-run",)):
            done = here("start", *TASK, *options, *dry)
            assert (done.code, done.out) == (2, ""), options
            assert len([line for line in done.err.splitlines() if line.startswith("error: ")]) == 1
    assert here("retry", *TASK, "--parallelism", " 2").code == 2
    assert files(again.root) == before
