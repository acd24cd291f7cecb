import copy
import importlib
import json
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders

from pipelines.builder import Built
from pipelines.cli import run
from pipelines.config import LOCAL, load_environment, load_task
from pipelines.service.session import Session, open_session


@pytest.fixture(scope="session")
def example():
    return load_environment("example")


@pytest.fixture(scope="session")
def built(example) -> Built:
    """The msi pipeline as environments/example.yaml has it."""
    from pipelines.builder import build

    return build("msi", load_task("msi", example), example)


@pytest.fixture(scope="session")
def built_here() -> Built:
    """The msi pipeline for the local environment."""
    from pipelines.builder import build

    return build("msi", load_task("msi", LOCAL), LOCAL)


@pytest.fixture
def definition(built):
    """A definition that a test may change."""
    return copy.deepcopy(built.definition)


def step_named(definition, name):
    from pipelines.checks.expressions import all_steps

    return next(step for step in all_steps(definition) if step["Name"] == name)


@pytest.fixture
def step(definition):
    """``step("TrainMsi")``: a step of the definition that a test may change."""
    return lambda name: step_named(definition, name)


@pytest.fixture
def server(monkeypatch, example):
    """moto's server as AWS, with the environment's bucket in it."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=example.bucket)
    yield moto
    moto.stop()


@pytest.fixture
def session(server, example) -> Session:
    return open_session(example)


@pytest.fixture
def calls(session):
    """Operation names of every SageMaker call, in order."""
    made = []
    session.sagemaker.meta.events.register("before-call.sagemaker.*", lambda model, **_: made.append(model.name))
    return made


@pytest.fixture
def before_send(monkeypatch):
    """``before_send(handler)``: the handler sees every request of every boto3 client made from now on, before it is sent; what
    it returns (an AWSResponse) or raises (a connection's error) stands in place of the server's answer."""
    handlers = []
    make = boto3.Session.client

    def client(self, name, *arguments, **options):
        made = make(self, name, *arguments, **options)
        for handler in handlers:
            made.meta.events.register(f"before-send.{name}.*", handler)
        return made

    monkeypatch.setattr(boto3.Session, "client", client)
    return handlers.append


def response(status, body, url="https://aws.test", kind="application/x-amz-json-1.1"):
    """An answer as it comes off the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AWSResponse(url, status, HTTPHeaders.from_dict({"Content-Type": kind}), BytesRaw(content))


class BytesRaw:
    """The raw body of an AWSResponse."""

    def __init__(self, content):
        self.content = content

    def stream(self, *_, **__):
        yield self.content

    def read(self, *_, **__):
        return self.content


@pytest.fixture
def aws_response():
    """``aws_response(400, {"__type": …})``."""
    return response


class Recorded:
    """Answers by operation, given in order and the last one again and again; the requests that asked for them."""

    def __init__(self, answers):
        self.answers = {operation: list(bodies) for operation, bodies in answers.items()}
        self.requests = []

    def __call__(self, request, **_):
        target = request.headers.get("X-Amz-Target", b"")
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        if operation not in self.answers:
            return None
        self.requests.append((operation, json.loads(request.body)))
        bodies = self.answers[operation]
        body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
        return response(200, body)


RECORDINGS = Path(__file__).parent / "recorded"


@pytest.fixture
def recorded(before_send):
    """``recorded("failed")``: answers of tests/pipelines/recorded/failed.json in place of the server's."""

    def play(name):
        player = Recorded(json.loads((RECORDINGS / f"{name}.json").read_text()))
        before_send(player)
        return player

    return play


@pytest.fixture
def quick(monkeypatch):
    """No waiting between looks, nor between botocore's tries."""
    monkeypatch.setattr("pipelines.service.patience._AWS_SECONDS", 0.01)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda *_, **__: True)


@pytest.fixture
def here(monkeypatch, capsys):
    """``here("watch", "--task", "msi")``: a verb in this process, by its command line; its exit code and what it printed."""

    def call(verb, *arguments):
        module = importlib.import_module(f"pipelines.{verb}")
        monkeypatch.setattr(sys, "argv", [verb, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(getattr(module, verb))
        said = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=said.out, err=said.err)

    return call
