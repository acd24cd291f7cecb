"""The doctor's health checks as tests see them: an account in which all is well, others to be broken, and what they say of them."""

import json
import re

import pytest

from tests.pipelines import account as world

QUOTAS = {
    "ml.t3.medium for processing job usage": 4,
    "ml.m5.xlarge for processing job usage": 4,
    "ml.m5.2xlarge for processing job usage": 4,
    "ml.g5.2xlarge for processing job usage": 4,
    "ml.m5.xlarge for training job usage": 4,
    "ml.g5.xlarge for spot training job usage": 1,
    "ml.m5.xlarge for endpoint usage": 2,
}


class Answers:
    """What moto lacks: Service Quotas for SageMaker and IAM's simulation. Both can be changed, or taken away."""

    def __init__(self, respond):
        self.respond, self.quotas, self.refused = respond, dict(QUOTAS), set()

    def __call__(self, request, **_):
        target = request.headers.get("X-Amz-Target", b"")
        target = target.decode() if isinstance(target, bytes) else target
        if target.endswith("ListServiceQuotas"):
            return self._page(json.loads(request.body))
        if target.endswith("ListAWSDefaultServiceQuotas"):
            return self.respond(200, {"Quotas": []})
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        return self._simulated(body) if "Action=SimulatePrincipalPolicy" in body else None

    def _page(self, asked):
        """One quota a page, so that all pages have to be read."""
        names = sorted(self.quotas)
        start = int(asked.get("NextToken", 0))
        answer = {"Quotas": [{"QuotaName": name, "Value": float(self.quotas[name])} for name in names[start : start + 1]]}
        return self.respond(200, {**answer, **({"NextToken": str(start + 1)} if start + 1 < len(names) else {})})

    def _simulated(self, body):
        if self.refused is None:
            error = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
            return self.respond(403, error.encode(), kind="text/xml")
        actions = re.findall(r"ActionNames\.member\.\d+=([^&]+)", body)
        results = "".join(
            f"<member><EvalActionName>{name}</EvalActionName><EvalDecision>"
            f"{'implicitDeny' if name in self.refused else 'allowed'}</EvalDecision></member>"
            for name in (action.replace("%3A", ":") for action in actions)
        )
        text = (
            '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult>'
            f"<EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        )
        return self.respond(200, text.encode(), kind="text/xml")


@pytest.fixture(scope="module")
def healthy(moto, tmp_path_factory):
    """The account that nobody breaks."""
    with pytest.MonkeyPatch.context() as patch:
        world.enter_account(patch)
        yield world.make(tmp_path_factory.mktemp("account") / "dev.yaml")


@pytest.fixture
def account(healthy, tmp_path):
    """The account, with a file of the test's own."""
    healthy.write(tmp_path / "dev.yaml")
    return healthy


@pytest.fixture
def other(moto, healthy, monkeypatch, tmp_path):
    """``other(number)``: an account like it, to be broken."""

    def make(number):
        world.enter_account(monkeypatch, number)
        made = world.make(tmp_path / "other.yaml", number)
        healthy.file = made.file
        return made

    return make


@pytest.fixture
def answers(before_send, aws_response):
    given = Answers(aws_response)
    before_send(given)
    return given


@pytest.fixture
def doctor(here, account, answers, quick):
    """``doctor()``: the doctor's exit code, and its lines by check and state."""

    def call(*arguments):
        done = here("doctor", "--environment", account.file, "--task", "msi", "--json", *arguments)
        assert "Traceback" not in done.err
        lines = json.loads(done.out)
        call.unknown = {line["check"]: line["says"] for line in lines if line["state"] == "unknown"}
        call.problems = [(line["check"], line["says"]) for line in lines if line["state"] == "problem"]
        call.ok = {line["check"]: line["says"] for line in lines if line["state"] == "ok"}
        return done.code

    return call
