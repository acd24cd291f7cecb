"""Throttling, outages, expired credentials: every call of every verb throttled, failed and timed out."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ReadTimeoutError

from pipelines.service import deployment
from pipelines.service.session import open_session

EXAMPLE = ("--task", "msi", "--environment", "example")


def operation_of(request):
    target = request.headers.get("X-Amz-Target", b"")
    target = target.decode() if isinstance(target, bytes) else target
    return target or f"{request.method} {request.url}"


class Outage:
    """Of every different call the first three tries are throttled, the fourth is answered 500, the fifth times out."""

    def __init__(self, aws_response):
        self.aws_response, self.tries = aws_response, {}

    def __call__(self, request, **_):
        call = operation_of(request)
        self.tries[call] = self.tries.get(call, 0) + 1
        match self.tries[call]:
            case 1 | 2 | 3 if "amazonaws" not in call and call.startswith(("GET", "PUT", "HEAD", "POST")):
                return self.aws_response(503, b"<Error><Code>SlowDown</Code></Error>", kind="application/xml")
            case 1 | 2 | 3:
                return self.aws_response(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
            case 4:
                return self.aws_response(500, {"__type": "InternalFailure", "message": "We encountered an internal error."})
            case 5:
                raise ReadTimeoutError(endpoint_url=request.url)
        return None


@pytest.fixture
def pauses(monkeypatch):
    """What botocore would have waited: seconds before each further try, and its requests to the limiter of its rate."""
    waited = SimpleNamespace(seconds=[], limited=[])
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waited.seconds.append))
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda *_, **__: waited.limited.append(1))
    return waited


def test_three_throttled_a_500_and_a_time_out_are_survived_with_pauses(server, compiled, example, aws_response, pauses):
    """With botocore's own pauses, which nobody waits for here; the calls of one client after the first meet no outage."""
    session, outage = open_session(example), Outage(aws_response)
    session.sagemaker.meta.events.register("before-send.sagemaker.DescribePipeline", outage)
    assert deployment.upsert(session, compiled, {}).pipeline == "created"
    assert outage.tries["SageMaker.DescribePipeline"] == 6
    assert len(pauses.seconds) == 5
    assert min(pauses.seconds) > 0, "it does not hammer a service that asks for less"
    assert len(pauses.limited) >= 5, "nor do the tries after a throttled one come at any rate"


def test_every_call_of_the_verbs_survives(server, before_send, aws_response, quick, here):
    """Every operation of every verb that moto knows, and each object of S3."""
    outage = Outage(aws_response)
    before_send(outage)
    assert here("upsert", *EXAMPLE).code == 0
    assert here("upsert", *EXAMPLE).out.startswith("pipeline pathology-msi unchanged")
    assert here("start", *EXAMPLE, "--no-wait", "--param", "Epochs=3").code == 0
    listed = here("executions", *EXAMPLE, "--json")
    assert (listed.code, listed.out.count('"Succeeded"')) == (0, 1)
    assert here("delete", *EXAMPLE, "--yes").code == 0
    assert min(outage.tries.values()) >= 6
    assert {call.rpartition(".")[2] for call in outage.tries if call.startswith("SageMaker.")} >= {
        *("DescribePipeline", "CreatePipeline", "DescribeModelPackageGroup", "CreateModelPackageGroup"),
        *("StartPipelineExecution", "ListPipelineExecutions", "DeletePipeline"),
    }
    assert "has no pipeline pathology-msi" in here("executions", *EXAMPLE).err


@pytest.mark.parametrize("verb", ["upsert", "start", "executions", "watch", "show", "metrics", "stop", "retry", "delete"])
def test_expired_credentials_are_one_line(server, before_send, aws_response, here, verb):
    expired = {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"}
    xml = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    before_send(lambda request, **_: aws_response(400, expired) if "X-Amz-Target" in request.headers else aws_response(400, xml))
    done = here(verb, *EXAMPLE)
    assert done.code == 2
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "expired" in line
    assert "log in again" in line
    assert "Traceback" not in done.err


def test_no_credentials_are_one_line(server, here, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    done = here("executions", *EXAMPLE)
    assert (done.code, done.err.splitlines()[-1].startswith("error: no usable AWS credentials")) == (2, True)


def test_an_environment_without_a_region_names_the_key(here, repository, tmp_path):
    text = (repository / "environments" / "example.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("region: us-east-1\n", ""))
    done = here("executions", "--task", "msi", "--environment", str(tmp_path / "mine.yaml"))
    assert (done.code, done.err) == (2, f"error: {tmp_path / 'mine.yaml'}: region: missing: add it\n")


def test_a_role_that_may_not_be_passed_names_the_permission(server, before_send, aws_response, here):
    message = (
        "User: arn:aws:sts::111122223333:assumed-role/developer/me is not authorized to perform: iam:PassRole on resource: "
        "arn:aws:iam::111122223333:role/pathology-pipeline because no identity-based policy allows the iam:PassRole action"
    )
    before_send(
        lambda request, **_: (
            aws_response(400, {"__type": "AccessDeniedException", "message": message})
            if operation_of(request) == "SageMaker.CreatePipeline"
            else None
        )
    )
    done = here("upsert", *EXAMPLE)
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        "error: arn:aws:sts::111122223333:assumed-role/developer/me lacks the permission iam:PassRole on "
        "arn:aws:iam::111122223333:role/pathology-pipeline: add it to that role's policy (iam:PassedToService: sagemaker.amazonaws.com)"
    )


def test_debug_shows_where_an_error_came_from(server, here):
    with pytest.raises(Exception, match="has no pipeline"):
        here("executions", *EXAMPLE, "--debug")
