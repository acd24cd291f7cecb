"""Endpoints of the local account: real processes, made, asked, updated, killed and deleted."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.uris import Uri

from benchmarks.serving import make_root, patches
from pipelines.local import front
from pipelines.local.hosting import GONE, hosted, url_of
from pipelines.local.volumes import pack, upload_folder
from tests.made import made_once
from tests.pipelines.local.hosts import archive, hosts
from tests.waiting import until

assert hosts  # a fixture
PAUSE = 0.005
"""Between two requests of a client: what the machine has left is for the servers."""
ALL_AT_ONCE = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}}


@pytest.fixture(scope="module")
def served(hosts):
    """An endpoint that tests update: each begins with what it has."""
    hosts.version("first", FOR=str(hosts.root / "go"))
    assert hosts.create("ep", "first")["EndpointStatus"] == "InService"
    yield "ep"
    hosts.delete("ep")


def lives(pid):
    """Whether a process runs; one that has ended and that nobody has asked after does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def post(hosts, name, body, path="/invocations", **headers):
    """A request over HTTP, as curl sends it: status, headers, and what the JSON says."""
    connection = http.client.HTTPConnection(urlsplit(url_of(hosts.root, name)).netloc)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


class Stream:
    """Four clients that ask as fast as they are answered, two over HTTP and two by the runtime's client."""

    def __init__(self, hosts, name):
        self.hosts, self.name = hosts, name
        self.answers, self.faults, self.stopping = {}, [], False
        self.threads = [threading.Thread(target=self.ask, args=(number,)) for number in range(4)]

    def ask(self, number):
        count = 0
        while not self.stopping:
            body = f"{number}-{count}"
            try:
                answer = self.one(number, body)
            except Exception as error:
                self.faults.append(repr(error))
            else:
                self.answers[body] = answer
            count += 1
            time.sleep(PAUSE)

    def one(self, number, body):
        if number % 2:
            return self.hosts.invoke(self.name, body.encode())
        status, _, said = post(self.hosts, self.name, body)
        assert status == 200, said
        return said


@contextmanager
def streaming(hosts, name):
    stream = Stream(hosts, name)
    for thread in stream.threads:
        thread.start()
    try:
        until(lambda: len(stream.answers) > 20, lambda: f"answers: {stream.faults}")
        yield stream
        seen = len(stream.answers)
        until(lambda: len(stream.answers) > seen + 20, lambda: f"answers: {stream.faults}")
    finally:
        stream.stopping = True
        for thread in stream.threads:
            thread.join()
    assert stream.faults == []
    assert [body for body, answer in stream.answers.items() if answer["body"] != body] == []


def versions(stream):
    return {answer["model_version"] for answer in stream.answers.values()}


def asked(hosts, name):
    """What each of an endpoint's servers was asked, by its log."""
    logs = sorted(hosted(hosts.root, name).servers.glob("*.log"), key=lambda path: int(path.stem))
    return [[line.split()[1] for line in log.read_text().splitlines() if line.startswith("asked ")] for log in logs]


def test_an_endpoint_answers_over_http_and_by_the_runtimes_client(hosts, served):
    status, headers, said = post(hosts, served, "picture", Accept="application/json")
    assert (status, said["body"], said["accept"]) == (200, "picture", "application/json")
    assert said["channels"] == {"encoder": "tiny"}
    assert headers["x-Amzn-Invoked-Production-Variant"] == "all"
    answer = hosts.runtime.invoke_endpoint(
        EndpointName=served, Body=b"picture", ContentType="image/png", Accept="application/json"
    )
    assert json.loads(answer["Body"].read()) == said
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "all")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert post(hosts, served, "x", "/other")[0] == 404
    described = hosts.state(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "first")
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_what_the_model_refuses_is_a_model_error(hosts, served):
    with pytest.raises(ClientError) as raised:
        hosts.invoke(served, b"odd")
    response = raised.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 400
    assert json.loads(response["OriginalMessage"]) == {"error": "this is no picture"}
    assert response["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/ep")


def test_an_endpoint_that_is_not_there_is_asked_in_vain(hosts):
    with pytest.raises(ClientError, match=r"ValidationError.* Endpoint none of account 000000000000 not found") as raised:
        hosts.invoke("none")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_what_cannot_be_read_whole_is_refused_by_the_front(hosts, served):
    connection = http.client.HTTPConnection(urlsplit(url_of(hosts.root, served)).netloc)
    connection.request("POST", "/invocations", iter([b"a" * 2**16] * 100), encode_chunked=True)
    assert connection.getresponse().status == 411
    connection.close()
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Length", str(26 * 2**20))
    connection.endheaders()
    connection.send(bytes(26 * 2**20))
    assert connection.getresponse().status == 413
    connection.close()


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(hosts, served):
    """As curl does with a large one; this one would wait for ever."""
    address = urlsplit(url_of(hosts.root, served))
    with socket.create_connection((address.hostname, address.port)) as wire:
        wire.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"
        )
        assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(b"x")
        assert wire.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_an_update_loses_no_request_and_mixes_none(hosts, served):
    before = hosts.state(served)["EndpointConfigName"]
    earlier = len(asked(hosts, served)[-1])
    hosts.version("second")
    with streaming(hosts, served) as stream:
        hosts.update(served, "second", DeploymentConfig=ALL_AT_ONCE)
        described = hosts.wait(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "second")
    assert "FailureReason" not in described
    assert described["LastDeploymentConfig"] == ALL_AT_ONCE
    assert versions(stream) == {before, "second"}
    old, new = asked(hosts, served)[-2:]
    assert sorted([*old[earlier:], *new]) == sorted(stream.answers)  # each was asked of one server
    assert {stream.answers[body]["model_version"] for body in new} == {"second"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(
            "500", 'it answered POST /invocations with 500: {"error": "the model fails"}', id="its first answer is a 500"
        ),
        pytest.param("breaks", "with exit code 7|it broke off", id="it breaks off its first answer", marks=pytest.mark.slow),
        pytest.param("exits", "1: error: the weights are gone", id="it does not start", marks=pytest.mark.slow),
    ],
)
def test_a_new_version_that_fails_is_rolled_back_and_the_old_one_answers_throughout(hosts, served, fault, said):
    before = hosts.state(served)["EndpointConfigName"]
    hosts.version(f"fails-{fault}", FAULT=fault)
    with streaming(hosts, served) as stream:
        hosts.update(served, f"fails-{fault}")
        described = hosts.wait(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    assert described["FailureReason"].startswith(f"The update to fails-{fault} was rolled back: ")
    assert any(words in described["FailureReason"] for words in said.split("|"))
    assert "PendingDeploymentSummary" not in described
    assert f"RollingBack: configuration fails-{fault}: " in hosts.log(served)
    assert versions(stream) == {before}
    assert bool(asked(hosts, served)[-1]) == (fault != "exits")  # what the new one was asked was answered by the old one


def test_an_update_in_progress_lets_no_other_begin_and_shows_both(hosts, served):
    go, before = hosts.root / "ready", hosts.state(served)["EndpointConfigName"]
    hosts.version("waits", FAULT="waits", FOR=str(go))
    hosts.update(served, "waits")
    described = hosts.state(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", before)
    pending = described["PendingDeploymentSummary"]
    assert (pending["EndpointConfigName"], pending["ProductionVariants"][0]["VariantStatus"][0]["Status"]) == (
        "waits",
        "Creating",
    )
    for call in (lambda: hosts.update(served, "first"), lambda: hosts.client.delete_endpoint(EndpointName=served)):
        with pytest.raises(ClientError, match=r'ValidationException.* Cannot update in-progress endpoint "arn:.*:endpoint/ep"'):
            call()
    go.touch()
    until(lambda: hosts.invoke(served)["model_version"] == "waits")
    assert hosts.wait(served)["EndpointConfigName"] == "waits"


def test_a_server_that_is_killed_is_started_again_and_that_is_said(hosts, served):
    changed = hosts.state(served)["LastModifiedTime"]
    (server,) = hosts.servers(served)
    os.kill(server, signal.SIGKILL)
    until(lambda: hosts.servers(served) != [server], lambda: hosts.log(served))
    until(lambda: "serves again" in hosts.log(served))
    assert "its server ended with exit code 137 (SIGKILL)" in hosts.log(served)
    assert "it is started again, 1 of 5 in a row" in hosts.log(served)
    described = hosts.wait(served)
    assert hosts.invoke(served)["model_version"] == described["EndpointConfigName"]
    assert described["LastModifiedTime"] > changed


def test_a_front_that_is_killed_leaves_no_process_and_the_endpoint_has_failed(hosts):
    hosts.version("orphan")
    hosts.create("killed", "orphan")
    front_pid, (server,) = hosts.front("killed"), hosts.servers("killed")
    os.kill(front_pid, signal.SIGKILL)
    until(lambda: not lives(server), "the end of the server")
    until(lambda: hosts.state("killed")["EndpointStatus"] == "Failed")
    assert hosts.state("killed")["FailureReason"] == GONE
    assert url_of(hosts.root, "killed") is None
    with pytest.raises(ClientError, match=r"ValidationError.* is Failed, and takes no requests"):
        hosts.invoke("killed")
    with pytest.raises(ClientError, match="Cannot update failed endpoint"):
        hosts.update("killed", "orphan")
    hosts.delete("killed")
    assert not hosted(hosts.root, "killed").folder.exists()


def test_deleting_answers_what_has_come_in_and_ends_every_process(hosts):
    go = hosts.root / "answer"
    hosts.version("last", FOR=str(go))
    hosts.create("short", "last")
    (server,) = hosts.servers("short")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(hosts.invoke("short", b"slow")))
    thread.start()
    until(lambda: asked(hosts, "short") == [["slow"]])
    hosts.client.delete_endpoint(EndpointName="short")
    assert hosts.state("short")["EndpointStatus"] == "Deleting"
    until(lambda: "server 1 ends when it has answered all that it has (1)" in hosts.log("short"))
    go.touch()
    thread.join()
    assert [answer["body"] for answer in answers] == ["slow"]
    until(lambda: hosts.gone("short"))
    assert not lives(server)
    assert not hosted(hosts.root, "short").folder.exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("elsewhere", archive({"../../../out": "x"}), "which is outside the destination", id="elsewhere"),
        pytest.param(
            "no-archive", b"text", "broken.tar.gz cannot be unpacked: not a gzip file", id="text", marks=pytest.mark.slow
        ),
        pytest.param("no-code", archive({"a": ""}), "error: the model's code in ", id="no code", marks=pytest.mark.slow),
    ],
)
def test_an_archive_that_cannot_be_served_fails_with_the_reason(hosts, name, content, reason):
    uri = f"s3://local/{name}/broken.tar.gz"
    hosts.put(uri, content)
    hosts.model(name, data=uri)
    hosts.config(name)
    described = hosts.create(name, name)
    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]
    assert "ProductionVariants" not in described
    assert not (hosts.root / "endpoints" / name / "out").exists()
    hosts.delete(name)


@pytest.mark.slow
def test_a_new_version_whose_ping_never_comes_is_rolled_back_in_the_least_time_that_may_be_given(hosts, served):
    before = hosts.state(served)["EndpointConfigName"]
    hosts.model("never", FAULT="never")
    hosts.config("never", ContainerStartupHealthCheckTimeoutInSeconds=60)
    with streaming(hosts, served) as stream:
        hosts.update(served, "never")
        described = hosts.wait(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    assert "did not pass the ping health check within 60 s" in described["FailureReason"]
    assert versions(stream) == {before}


@pytest.mark.slow
def test_a_server_that_dies_again_and_again_is_given_up(hosts):
    hosts.version("mortal", FAULT="breaks")
    hosts.create("dying", "mortal")

    def dead():
        if hosts.state("dying")["EndpointStatus"] == "Failed":
            return True
        try:
            hosts.invoke("dying")
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("ServiceUnavailable", "ValidationError")
        return False

    until(dead)
    reason = hosts.state("dying")["FailureReason"]
    assert reason.startswith(f"started again {front.MAX_RESTARTS} times in a row, and its server ended with exit code 7")
    until(lambda: hosts.front("dying") is None)
    hosts.delete("dying")


@pytest.mark.slow
def test_a_new_version_that_nobody_asks_is_taken_for_good_after_a_while(hosts, served):
    hosts.version("quiet")
    hosts.update(served, "quiet")
    until(lambda: "Baking" in json.dumps(hosts.state(served), default=str))
    assert hosts.wait(served)["EndpointConfigName"] == "quiet"


@pytest.mark.slow
def test_a_real_model_is_served_by_its_own_code_and_its_encoder(hosts):
    root = made_once("endpoint-mhist", make_root)
    pack([root / "model"], Uri.parse("s3://local/models/mhist.tar.gz").under(hosts.root))
    upload_folder(hosts.store, root / "additional-model-data-sources" / "encoder", Uri.parse("s3://local/encoders/real"))
    version = hashlib.sha256((root / "model" / "config.json").read_bytes()).hexdigest()[:12]
    hosts.model("mhist", data="s3://local/models/mhist.tar.gz", encoder="s3://local/encoders/real/")
    hosts.config("mhist")
    described = hosts.create("mhist", "mhist")
    assert described["EndpointStatus"] == "InService", described
    body = patches(1)[0]
    answer = hosts.invoke("mhist", body, ContentType="image/png", Accept="application/json")
    assert (answer["model_version"], answer["label"] in ("HP", "SSA")) == (version, True)
    with pytest.raises(ClientError, match="415") as raised:
        hosts.invoke("mhist", body, ContentType="text/plain")
    assert raised.value.response["OriginalStatusCode"] == 415
    (log,) = hosted(hosts.root, "mhist").servers.glob("*.log")
    (port,) = {entry["port"] for entry in map(json.loads, log.read_text().splitlines()) if entry["event"] == "listening"}
    with pytest.raises(ConnectionRefusedError):  # of another of the machine's addresses
        socket.create_connection(("127.0.0.2", port))
    socket.create_connection(("127.0.0.1", port)).close()
    os.kill(hosts.servers("mhist")[0], signal.SIGKILL)
    until(lambda: "serves again" in hosts.log("mhist"), lambda: hosts.log("mhist"))
    assert hosts.invoke("mhist", body, ContentType="image/png") == answer
    hosts.delete("mhist")


@pytest.mark.slow
def test_a_front_that_is_killed_during_an_update_leaves_neither_server(hosts):
    hosts.version("waits-on", FAULT="waits", FOR=str(hosts.root / "never-comes"))
    hosts.version("blue")
    hosts.create("two", "blue")
    hosts.update("two", "waits-on")
    until(lambda: len(hosts.servers("two")) == 2)
    servers = hosts.servers("two")
    os.kill(hosts.front("two"), signal.SIGKILL)
    until(lambda: not any(map(lives, servers)), "the end of both servers")
    described = hosts.wait("two", "Failed")
    assert (described["FailureReason"], "PendingDeploymentSummary" in described) == (GONE, False)
    hosts.delete("two")


@pytest.mark.slow
def test_a_server_that_is_killed_while_the_new_one_comes_up_is_started_again_and_so_is_a_new_one_rolled_back(hosts):
    go = hosts.root / "now"
    hosts.version("old")
    hosts.version("new", FAULT="waits", FOR=str(go))
    hosts.create("both", "old")
    (old,) = hosts.servers("both")
    hosts.update("both", "new")
    until(lambda: len(hosts.servers("both")) == 2)
    os.kill(old, signal.SIGKILL)
    until(lambda: "server 1 serves again" in hosts.log("both"))
    assert hosts.invoke("both")["model_version"] == "old"
    (new,) = set(hosts.servers("both")) - {hosts.servers("both")[0]}
    os.kill(new, signal.SIGKILL)
    described = hosts.wait("both")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "old")
    assert "its server ended with exit code 137 (SIGKILL)" in described["FailureReason"]
    assert hosts.invoke("both")["model_version"] == "old"
    hosts.delete("both")


@pytest.mark.slow
def test_of_several_who_make_an_endpoint_at_once_one_does(hosts):
    hosts.version("many")

    def create(_):
        try:
            hosts.client.create_endpoint(EndpointName="many", EndpointConfigName="many")
        except ClientError as error:
            assert "Cannot create already existing endpoint" in str(error)
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(create, range(6))) == 1
    assert hosts.wait("many")["EndpointStatus"] == "InService"
    hosts.delete("many")


@pytest.mark.slow
def test_an_endpoint_outlives_who_made_it(hosts, repository):
    hosts.version("verb")
    program = (
        "import sys; from pathlib import Path; from pipelines.local.client import LocalSageMaker\n"
        "LocalSageMaker(Path(sys.argv[1])).create_endpoint(EndpointName='verb', EndpointConfigName='verb')"
    )
    subprocess.run([sys.executable, "-c", program, str(hosts.root)], cwd=repository, check=True)
    assert hosts.wait("verb")["EndpointStatus"] == "InService"
    assert hosts.invoke("verb")["model_version"] == "verb"
    hosts.delete("verb")
