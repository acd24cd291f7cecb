"""Fixtures of verbs in an AWS account: moto's server, answers that a test gives in its place, the verbs in this process."""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders

from pipelines.cli import run
from pipelines.config import load_environment

RECORDINGS = Path(__file__).parent / "recorded"


@pytest.fixture(scope="session", autouse=True)
def models_are_read_once():
    """botocore reads the models of a service again for every session, which takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def example():
    return load_environment("example")


@pytest.fixture(scope="session")
def moto_url():
    """Where moto's server is; every test that uses it empties it first."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    moto._server.app = one_at_a_time(moto._server.app)
    yield "http://{}:{}".format(*moto.get_host_and_port())
    moto.stop()


def one_at_a_time(answer):
    """moto looks whether a thing is there and then makes it; AWS does both at once, which is what callers rest on."""
    lock = threading.Lock()

    def locked(environ, start_response):
        with lock:
            return answer(environ, start_response)

    return locked


def empty(url):
    """Forget all that was made in every account."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()


@pytest.fixture(scope="module")
def moto(moto_url):
    """moto's server as AWS for the whole module, empty at first: what stands in it is made once."""
    empty(moto_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", moto_url)
        yield


@pytest.fixture
def server(moto_url, monkeypatch, example):
    """moto's server as AWS, with the environment's bucket in it and nothing else."""
    empty(moto_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=example.bucket)


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
    """No waiting between polls, nor between botocore's tries."""
    monkeypatch.setattr("pipelines.service.polling._AWS_SECONDS", 0.01)
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
        captured = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=captured.out, err=captured.err)

    return call
