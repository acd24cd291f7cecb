"""Endpoints of the local account: real processes, made, asked, updated, killed and deleted."""

import http.client
import json
import os
import signal
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from pipelines.local import front
from pipelines.local.hosting import GONE, hosted, url_of
from tests.pipelines.local.hosts import archive, hosts
from tests.waiting import until

assert hosts  # a fixture
ALL_AT_ONCE = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}}


@pytest.fixture(scope="module")
def served(hosts):
    """An endpoint with the configuration ``first``, which tests change and bring back."""
    hosts.version("first", FOR=str(hosts.root / "go"))
    assert hosts.create("ep", "first")["EndpointStatus"] == "InService"
    yield "ep"
    hosts.delete("ep")


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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
    connection.request("POST", "/invocations", iter([b"a", b"b"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 411
    connection.close()
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Length", str(26 * 2**20))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_an_update_loses_no_request_and_mixes_none(hosts, served):
    before = [len(bodies) for bodies in asked(hosts, served)]
    hosts.version("second")
    with streaming(hosts, served) as stream:
        hosts.update(served, "second", DeploymentConfig=ALL_AT_ONCE)
        described = hosts.wait(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "second")
    assert "FailureReason" not in described
    assert described["LastDeploymentConfig"] == ALL_AT_ONCE
    assert versions(stream) == {"first", "second"}
    old, new = asked(hosts, served)[-2:]
    assert sorted([*old[before[-1] :], *new]) == sorted(stream.answers)  # each was asked of one server
    assert {stream.answers[body]["model_version"] for body in new} == {"second"}
    hosts.update(served, "first")
    until(lambda: hosts.invoke(served)["model_version"] == "first")
    assert hosts.wait(served)["EndpointConfigName"] == "first"


def test_a_new_version_that_does_not_start_is_rolled_back(hosts, served):
    hosts.version("exits", FAULT="exits")
    with streaming(hosts, served) as stream:
        hosts.update(served, "exits")
        described = hosts.wait(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "first")
    said = "its server ended with exit code 1: error: the weights are gone"
    assert described["FailureReason"] == f"The update to exits was rolled back: {said}"
    assert "PendingDeploymentSummary" not in described
    assert versions(stream) == {"first"}
    assert f"RollingBack: configuration exits: {said}" in hosts.log(served)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", 'it answered POST /invocations with 500: {"error": "the model fails"}'),
        ("breaks", "its server broke off POST /invocations (RemoteDisconnected)"),
    ],
)
def test_a_new_version_whose_first_answer_fails_is_rolled_back_and_the_old_one_answers(hosts, served, fault, said):
    hosts.version(f"fails-{fault}", FAULT=fault)
    with streaming(hosts, served) as stream:
        hosts.update(served, f"fails-{fault}")
        described = hosts.wait(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "first")
    assert said in described["FailureReason"] or "exit code 7" in described["FailureReason"]
    assert versions(stream) == {"first"}
    assert asked(hosts, served)[-1]  # the new one was asked, and what it was asked was answered


def test_an_update_in_progress_lets_no_other_begin_and_shows_both(hosts, served):
    go = hosts.root / "ready"
    hosts.version("waits", FAULT="waits", FOR=str(go))
    hosts.update(served, "waits")
    described = hosts.state(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", "first")
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
    hosts.update(served, "first")
    until(lambda: hosts.invoke(served)["model_version"] == "first")
    hosts.wait(served)


def test_a_server_that_is_killed_is_started_again_and_that_is_said(hosts, served):
    changed = hosts.state(served)["LastModifiedTime"]
    (server,) = hosts.servers(served)
    os.kill(server, signal.SIGKILL)
    until(lambda: hosts.servers(served) != [server], lambda: hosts.log(served))
    until(lambda: "serves again" in hosts.log(served))
    assert "its server ended with exit code 137 (SIGKILL)" in hosts.log(served)
    assert "it is started again, 1 of 5 in a row" in hosts.log(served)
    assert hosts.invoke(served)["model_version"] == "first"
    assert hosts.wait(served)["LastModifiedTime"] > changed


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
    go.touch()
    thread.join()
    assert [answer["body"] for answer in answers] == ["slow"]
    until(lambda: hosts.gone("short"))
    assert not lives(server)
    assert not hosted(hosts.root, "short").folder.exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("no-archive", b"text", "broken.tar.gz cannot be unpacked: not a gzip file"),
        ("elsewhere", archive({"../../../out": "x"}), "which is outside the destination"),
        ("no-code", archive({"config.json": "{}"}), "error: the model's code in "),
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
    hosts.model("never", FAULT="never")
    hosts.config("never", ContainerStartupHealthCheckTimeoutInSeconds=60)
    with streaming(hosts, served) as stream:
        hosts.update(served, "never")
        described = hosts.wait(served)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "first")
    assert "did not pass the ping health check within 60 s" in described["FailureReason"]
    assert versions(stream) == {"first"}


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
    hosts.update(served, "first")
    assert hosts.wait(served)["EndpointConfigName"] == "first"
