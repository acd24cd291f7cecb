"""Selective execution: chosen steps alone, on the results of an execution that has ended."""

import json
import shutil

import pytest
from botocore.exceptions import ClientError

TASK = ("--task", "msi")
PIPELINE = "pathology-msi"


@pytest.fixture(scope="module")
def ran(tmp_path_factory, open_account, make):
    """The folder of an account in which First → Second → Check → (Third | Below), each counting its runs, ran once to its end; the
    execution's ARN."""
    account = open_account(tmp_path_factory.mktemp("ran") / "state")
    word = {"Get": "Parameters.Word"}
    account.pipeline(
        make.processing("First", "once", environment={"WHO": "first"}),
        make.processing("Second", "once", inputs={"data": make.get("First")}, environment={"WHO": "second", "WORD": word}),
        {
            "Name": "Check",
            "Type": "Condition",
            "DependsOn": ["Second"],
            "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Parameters.Pass"}, "RightValue": "yes"}],
                "IfSteps": [make.processing("Third", "once", inputs={"data": make.get("Second")}, environment={"WHO": "third"})],
                "ElseSteps": [{"Name": "Below", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}],
            },
        },
        parameters=[{"Name": name, "Type": "String", "DefaultValue": value} for name, value in (("Word", "a"), ("Pass", "yes"))],
        name=PIPELINE,
    )
    arn = account.start(PIPELINE, Word="given")
    assert account.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    return account.root, arn


@pytest.fixture
def account(ran, tmp_path, open_account, monkeypatch):
    """A copy of it, which the verbs find."""
    shutil.copytree(ran[0], tmp_path / "state", symlinks=True)
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path / "state"))
    return open_account(tmp_path / "state")


@pytest.fixture
def chain(ran, account):
    """The ARN of the execution that ran."""
    return ran[1]


def runs(account):
    return {path.name: len(path.read_text()) for path in (account.root / "ran").iterdir()}


def select(account, *steps, source=None, **parameters):
    config = {
        "SelectedSteps": [{"StepName": step} for step in steps],
        **({"SourcePipelineExecutionArn": source} if source else {}),
    }
    given = [{"Name": key, "Value": value} for key, value in parameters.items()]
    return account.client.start_pipeline_execution(
        PipelineName=PIPELINE, PipelineParameters=given, SelectiveExecutionConfig=config
    )["PipelineExecutionArn"]


def test_only_the_selected_step_runs_and_says_where_the_rest_is_from(account, chain):
    arn = select(account, "Second", source=chain)
    execution = account.wait(arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert execution["SelectiveExecutionConfig"]["SelectedSteps"] == [{"StepName": "Second"}]
    assert runs(account) == {"first": 1, "second": 2, "third": 1}
    steps = account.steps(arn)
    assert set(steps) == {"First", "Second"}
    assert steps["First"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": chain}
    assert steps["First"]["Metadata"] == account.steps(chain)["First"]["Metadata"]
    first, second = (account.job(account.steps(arn)[name]) for name in ("First", "Second"))
    read = next(item for item in second["ProcessingInputs"] if item["InputName"] == "data")["S3Input"]["S3Uri"]
    assert read == first["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]


@pytest.mark.parametrize(
    ("steps", "with_source", "message"),
    [
        (["Second"], False, "Invalid SourcePipelineExecutionArn: null"),
        (["Third"], True, "Third stands behind Check"),
        (["First", "Check"], True, "Second lies between"),
        (["Fourth"], True, "the pipeline's steps are"),
        ([], True, "an empty selection"),
    ],
)
def test_a_selection_that_cannot_run_starts_nothing(account, chain, steps, with_source, message):
    with pytest.raises(ClientError, match=message):
        select(account, *steps, source=chain if with_source else None)
    assert len(account.client.list_pipeline_executions(PipelineName=PIPELINE)["PipelineExecutionSummaries"]) == 1


def test_a_source_without_the_result_or_of_another_pipeline_is_refused(account, make, chain):
    failed = account.wait(account.start(PIPELINE, Pass="no"))["PipelineExecutionArn"]
    record = account.client.state.execution(failed.rpartition("/")[2]).step("First")
    record.write_text(json.dumps({**json.loads(record.read_text()), "StepStatus": "Failed"}))
    with pytest.raises(ClientError, match="has no result of First"):
        select(account, "Second", source=failed)
    account.pipeline(make.processing("First", "once", environment={"WHO": "x"}), name="other")
    other = account.wait(account.start("other"))["PipelineExecutionArn"]
    with pytest.raises(ClientError, match="is not a valid execution of pathology-msi"):
        select(account, "Second", source=other)


def test_a_selection_that_failed_is_retried_as_the_selection_that_it_was(account, chain):
    arn = select(account, "Second", "Check", "Third", "Below", source=chain, Pass="no")
    assert account.wait(arn)["FailureReason"] == "step Below: not good enough"
    account.client.retry_pipeline_execution(PipelineExecutionArn=arn)
    account.wait(arn)
    assert runs(account) == {"first": 1, "second": 2, "third": 1}


def test_start_only_takes_the_latest_with_its_parameters_and_a_gates_consequences(account, chain, here):
    done = here("start", *TASK, "--only", "Second,Check", "--param", "Pass=no")
    assert done.code == 1
    assert done.out.splitlines()[-2:] == ["Below failed: not good enough", "execution Failed"]
    assert f"First: Succeeded after 0.0 s: from {chain.rpartition('/')[2]}" in done.out
    shown = json.loads(here("show", *TASK, "--json").out)
    assert {item["name"]: item["value"] for item in shown["parameters"]} == {"Word": "given", "Pass": "no"}
    assert runs(account) == {"first": 1, "second": 2, "third": 1}


def test_start_only_can_name_its_source(account, chain, here):
    here("start", *TASK, "--param", "Word=later")
    done = here("start", *TASK, "--only", "Second", "--source", chain.rpartition("/")[2])
    assert done.code == 0, done.err
    shown = json.loads(here("show", *TASK, "--json").out)
    assert {item["name"]: item["value"] for item in shown["parameters"]}["Word"] == "given"


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("Third", "--only: Third stands behind Check"),
        ("First,Check", "--only: Second lies between the selected steps: select it too"),
        ("Nothing", "--only: Nothing: the pipeline's steps are First, Second, Check, Third, Below"),
    ],
)
def test_start_only_refuses_before_any_call(chain, here, only, message):
    done = here("start", *TASK, "--only", only)
    assert (done.code, message in done.err) == (2, True)
    assert len(json.loads(here("executions", *TASK, "--json").out)) == 1


def test_start_only_needs_what_the_source_has_not(account, make, chain, here):
    account.client.delete_pipeline(PipelineName=PIPELINE)
    account.pipeline(make.processing("First", "fail"), make.processing("Second", "once", DependsOn=["First"]), name=PIPELINE)
    assert "has no execution yet" in here("start", *TASK, "--only", "Second").err
    here("start", *TASK)
    done = here("start", *TASK, "--only", "Second")
    assert (done.code, "First did not succeed there, and the selected steps need it" in done.err) == (2, True)
