"""What `executions` says of each: score, gate and version, in an account of this machine; and what it costs."""

import json
import re

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.uris import Uri

from pipelines.config import LOCAL
from pipelines.service.executions import recent
from pipelines.service.outcomes import outcomes
from pipelines.service.session import open_session
from tests.pipelines.local.damages import PIPELINE_NAME, TASK

CALLS_EACH = 4


@pytest.fixture(scope="module")
def ran(tmp_path_factory, open_account, make):
    """An account with three executions: one registered a version, one's gate refused, one failed before it had scores; newest first."""
    account = open_account(tmp_path_factory.mktemp("ran") / "state")
    account.client.create_model_package_group(ModelPackageGroupName=PIPELINE_NAME)
    register = {"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": PIPELINE_NAME}}
    below = {"Name": "Below", "Type": "Fail", "Arguments": {"ErrorMessage": "AUROC 0.400 is below 0.65, " + "w" * 200}}
    passed = {"Type": "GreaterThanOrEqualTo", "LeftValue": {"Get": "Parameters.Score"}, "RightValue": 0.5}
    gate = {"Conditions": [passed], "IfSteps": [register], "ElseSteps": [below]}
    account.pipeline(
        make.processing("First", "fail_first"),
        make.processing("EvaluateMsi", "evaluate", outputs=("evaluation",), DependsOn=["First"], **make.cached),
        {"Name": "Check", "Type": "Condition", "Arguments": gate, "DependsOn": ["EvaluateMsi"]},
        parameters=[{"Name": "Score", "Type": "Float", "DefaultValue": 0.9}],
        name=PIPELINE_NAME,
    )
    arns = []
    for healed, values in ((True, {}), (True, {"Score": "0.4"}), (False, {})):
        (account.root / "healed").touch() if healed else (account.root / "healed").unlink()
        arns.append(account.start(PIPELINE_NAME, **values))
        account.wait(arns[-1])
    return account, [arn.rpartition("/")[2] for arn in reversed(arns)]


@pytest.fixture(autouse=True)
def _mine(ran, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(ran[0].root))
    monkeypatch.setenv("COLUMNS", "80")


def test_score_gate_and_version_in_80_columns_and_the_interval_where_there_is_room(ran, here, monkeypatch):
    done = here("executions", *TASK)
    lines = done.out.splitlines()
    assert (done.code, max(map(len, lines)) <= 80) == (0, True), done.out
    assert [line.split()[:2] for line in lines[:4]] == [
        ["Execution", "Status"],
        *([one, status] for one, status in zip(ran[1], ("Failed", "Failed", "Succeeded"), strict=True)),
    ]
    assert [re.split(r" {2,}", line.rstrip())[3:] for line in lines[:4]] == [
        ["AUROC", "Version", "Name"],
        [],
        ["0.900", "gate refused"],
        ["0.900", "1"],
    ]
    assert [line.partition(":")[0] for line in lines[4:]] == ran[1][:2], "why they failed, a line each"
    assert lines[5].endswith("…")
    monkeypatch.setenv("COLUMNS", "120")
    assert "0.900  0.800–0.970  gate refused" in here("executions", *TASK).out


def test_scripts_are_told_the_same(ran, here):
    found = json.loads(here("executions", *TASK, "--json").out)
    keys = ("gate_passed", "version", "version_status", "same_as", "outcome_missing")
    assert [tuple(one[key] for key in keys) for one in found] == [
        (None, None, None, None, None),
        (False, None, None, None, None),
        (True, 1, "PendingManualApproval", None, None),
    ]
    assert [one["score"] and one["score"]["value"] for one in found] == [None, 0.9, 0.9]
    assert (found[2]["id"], found[2]["score"]["low"], found[2]["score"]["confidence"]) == (ran[1][2], 0.8, 0.95)


class Counting:
    """An account that counts its calls, and refuses some of them."""

    def __init__(self, asked, refused=()):
        self.asked, self.refused, self.calls = asked, refused, []

    def __getattr__(self, name):
        def call(**arguments):
            self.calls.append(name)
            if name in self.refused:
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, name)
            return getattr(self.asked, name)(**arguments)

        return call


@pytest.fixture
def counted():
    """``counted(refused)``: what executions came to, and the calls that it took beside the list's."""

    def count(*refused):
        session = open_session(LOCAL)
        states = recent(session, "msi", 20)
        object.__setattr__(session, "sagemaker", Counting(session.sagemaker, refused))
        return outcomes(session, states), session.sagemaker.calls

    return count


def test_it_makes_four_calls_an_execution_at_most(counted):
    found, calls = counted()
    assert len(calls) + len({one.evaluation_uri for one in found} - {None}) <= CALLS_EACH * len(found)
    assert calls.count("list_pipeline_execution_steps") == 3


def test_what_may_not_be_asked_is_blank_and_said(counted, here, monkeypatch):
    found, _ = counted("list_pipeline_execution_steps")
    assert [(one.words, one.headline) for one in found] == [("", None)] * 3
    assert all("lack the permission" in one.trouble for one in found)
    found, _ = counted("describe_model_package")
    assert [(one.words, one.trouble is None) for one in found] == [("", True), ("gate refused", True), ("1", False)]


def test_the_report_of_an_execution_names_those_that_reused_its_evaluation(ran, here, tmp_path):
    account, (failed, refused, first) = ran
    folder = Uri("s3", "local", f"runs/{first}/EvaluateMsi/evaluation")
    account.store.write(folder / "report.html", b"<html>\n<body>\n</body>\n</html>")
    found = {}
    for one in (first, refused):
        done = here("report", *TASK, one, "--output", str(tmp_path / f"{one}.html"), "--json")
        assert done.code == 0, done.err
        found[one] = json.loads(done.out)
    assert [(one["execution"], one["status"], one["version"]) for one in found[first]["reused_by"]] == [(refused, "Failed", None)]
    assert (found[first]["version"], found[refused]["version"], found[refused]["reused_by"]) == (1, None, [])
    assert f"execution {refused} of " in (tmp_path / f"{first}.html").read_text()
    assert "this execution registered none" in (tmp_path / f"{refused}.html").read_text()
    none = here("report", *TASK, failed)
    assert (none.code, none.err.splitlines()[-1]) == (
        1,
        f"error: execution {failed} has no report: it is Failed, and no evaluation step has succeeded in it",
    )


def test_an_evaluation_that_is_gone_or_damaged_is_a_blank(ran, here):
    account, (_, _, first) = ran
    path = Uri("s3", "local", f"runs/{first}/EvaluateMsi/evaluation/evaluation.json").under(account.root)
    kept = path.read_bytes()
    for spoil, words in ((lambda: path.write_text("{"), "is damaged"), (path.unlink, "no such object")):
        spoil()
        done = here("executions", *TASK)
        assert (done.code, "0.900" in done.out) == (0, False)
        said = "what 2 of 3 came to cannot be read whole: "
        assert said in done.out and words in done.out, done.out
        assert "gate refused" in done.out
    path.write_bytes(kept)


def test_a_version_that_was_deleted_or_is_the_same_as_another_says_so(ran, here):
    account = ran[0]
    arn = account.client.list_model_packages(ModelPackageGroupName=PIPELINE_NAME)["ModelPackageSummaryList"][0]["ModelPackageArn"]
    account.client.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"same_as": "7"})
    assert "1, same as 7" in here("executions", *TASK).out
    account.client.delete_model_package(ModelPackageName=arn)
    done = here("executions", *TASK)
    assert "0.900  1, deleted" in done.out
    assert json.loads(here("executions", *TASK, "--json").out)[2]["version_status"] is None


def test_the_commit_is_known_while_the_pipeline_is_what_ran(ran, here, tmp_path):
    account, (_, refused, _) = ran
    folder = Uri("s3", "local", f"runs/{ran[1][2]}/EvaluateMsi/evaluation")
    account.store.write(folder / "report.html", b"<html>\n<body>\n</body>\n</html>")
    arguments = (*TASK, refused, "--output", str(tmp_path / "report.html"), "--json")
    pipeline = account.client.describe_pipeline(PipelineName=PIPELINE_NAME)
    account.client.add_tags(ResourceArn=pipeline["PipelineArn"], Tags=[{"Key": "git-commit", "Value": "c0ffee"}])
    assert json.loads(here("report", *arguments).out)["commit"] == "c0ffee"
    other = json.loads(pipeline["PipelineDefinition"])
    other["Parameters"][0]["DefaultValue"] = 0.8
    account.client.update_pipeline(PipelineName=PIPELINE_NAME, PipelineDefinition=json.dumps(other))
    assert json.loads(here("report", *arguments).out)["commit"] is None
    account.client.delete_pipeline(PipelineName=PIPELINE_NAME)
    gone = here("report", *arguments)
    assert (gone.code, "has no pipeline" in gone.err.splitlines()[-1]) == (2, True)
