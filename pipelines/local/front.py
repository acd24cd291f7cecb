"""The process that holds one endpoint up: ``python -m pipelines.local.front STATE ENDPOINT``; started by ``create_endpoint``.

It listens at the endpoint's address, starts the endpoint's server and starts it again when it dies, brings up a new one beside it
when the endpoint is updated, and ends with the endpoint.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pathology.contracts.errors import PathologyError
from pathology.contracts.storage import FolderStore

from pipelines.local import processes
from pipelines.local.hosting import Hosted, fail, hosted, serves_again
from pipelines.local.model_server import ANSWER_SECONDS, ModelServer, container_of, lay_out
from pipelines.local.records import Deployment, EndpointRecord
from pipelines.local.state import now
from pipelines.local.traffic import Address, Traffic

MAX_RESTARTS = 5
"""In a row; a server that has lived for ``_STEADY_SECONDS`` begins a new row."""
_STEADY_SECONDS = 60.0
_BACK_OFF, _MAX_BACK_OFF = 0.2, 10.0
"""Seconds before the second start, doubled for each after it."""
_POLL_SECONDS = 0.05
MAX_BAKE_SECONDS = 5.0
"""Waits of a deployment are minutes on AWS, where alarms have to come in."""
QUIET_SECONDS = 2.0
"""How much longer a new server waits for the first request before it is taken for good without one."""


class FailedError(Exception):
    """Why a server will not serve; of an update it is rolled back for this."""


class Front:
    """One endpoint, from its creation to its end."""

    def __init__(self, root: Path, endpoint: Hosted) -> None:
        self.endpoint, self.store = endpoint, FolderStore(root)
        self.traffic = Traffic()
        self.address = Address(self.traffic)
        self.living: list[ModelServer] = []
        self.restarts = 0
        self.started = 0.0
        self.again: float | None = None
        self._read: tuple[tuple[int, int], EndpointRecord] | None = None

    # ---- Lives ----

    def run(self) -> None:
        """Until the endpoint is deleted, or has failed."""
        threading.Thread(target=self.address.serve_forever, daemon=True).start()
        self._change(Url=self.address.url)
        try:
            pending = (self._record() or {}).get("Pending", {})
            self.traffic.serving = self._brought_up(pending, lambda: None)
            self._in_service(pending)
            self._say(f"InService at {self.address.url}")
            while (record := self._record()) is not None and record["EndpointStatus"] != "Deleting":
                if "Pending" in record:
                    self._update(record["Pending"])
                self._keep_up()
                time.sleep(_POLL_SECONDS)
        except FailedError as error:
            self._end()
            self.fail(str(error))
            return
        self._end()
        self.endpoint.remove()

    def _record(self) -> EndpointRecord | None:
        """The endpoint's record, read again when the file is another."""
        with suppress(FileNotFoundError):
            status = self.endpoint.record_path.stat()
            mark = status.st_ino, status.st_mtime_ns
            if self._read is None or self._read[0] != mark:
                record = self.endpoint.record
                self._read = None if record is None else (mark, record)
            return None if self._read is None else self._read[1]
        return None

    def _end(self) -> None:
        """No request is taken any more; what has come in is answered."""
        self.traffic.stop()
        self.address.shutdown()
        for server in list(self.living):
            self._drain(server)

    # ---- One server ----

    def _brought_up(self, deployment: Deployment, meanwhile: Callable[[], None]) -> ModelServer:
        """A server that has passed its first ping.

        Raises:
            FailedError: when it does not come to that.
        """
        self.endpoint.servers.mkdir(exist_ok=True)
        number = 1 + max((int(path.stem) for path in self.endpoint.servers.glob("[0-9]*")), default=0)
        server = ModelServer(self.endpoint.servers / str(number), self.store, deployment)
        try:
            lay_out(self.store, container_of(deployment), server.root)
        except (PathologyError, OSError) as error:
            shutil.rmtree(server.root, ignore_errors=True)
            raise FailedError(str(error)) from None
        self.living.append(server)
        self._start(server)
        self._say(f"server {server.name} of configuration {deployment['Config']['EndpointConfigName']} is started")
        try:
            while not server.good:
                meanwhile()
                if fault := server.look():
                    raise FailedError(fault)
                time.sleep(_POLL_SECONDS)
        except FailedError:
            self._discard(server)
            raise
        self.started = time.monotonic()
        return server

    def _keep_up(self) -> None:
        """Start the server again where it has died, later each time.

        Raises:
            FailedError: when it was started again often enough.
        """
        server = self.traffic.serving
        assert server is not None
        if self.again is not None:
            if time.monotonic() >= self.again:
                self.again = None
                self._start(server)
                self.started = time.monotonic()
            return
        was_good = server.good
        fault = server.look()
        if fault is None:
            if server.good and not was_good:
                self._say(f"server {server.name} serves again")
                self.endpoint.change(serves_again)
            return
        server.end()
        self.restarts = 0 if time.monotonic() - self.started > _STEADY_SECONDS else self.restarts
        if self.restarts >= MAX_RESTARTS:
            raise FailedError(f"started again {self.restarts} times in a row, and {fault}")
        pause = 0.0 if self.restarts == 0 else min(_BACK_OFF * 2 ** (self.restarts - 1), _MAX_BACK_OFF)
        self.restarts += 1
        self.again = time.monotonic() + pause
        said = f"{fault}: it is started again, {self.restarts} of {MAX_RESTARTS} in a row"
        self._say(f"server {server.name}: {said}")
        self._change(Restarting={"StatusMessage": said[:1024], "StartTime": now()})

    def _start(self, server: ModelServer) -> None:
        server.start()
        self._keep_record()

    def _keep_record(self) -> None:
        """Of all processes that live, for whoever has to end them when this one is gone."""
        processes.record(self.endpoint.servers, [server.host for server in self.living])

    def _discard(self, server: ModelServer) -> None:
        server.end()
        self.living.remove(server)
        self._keep_record()
        shutil.rmtree(server.root, ignore_errors=True)

    def _drain(self, server: ModelServer) -> None:
        """End a server that gets no new requests when it has answered those it has."""
        if server.requests:
            self._say(f"server {server.name} ends when it has answered all that it has ({server.requests})")
        until = time.monotonic() + ANSWER_SECONDS
        while server.requests and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        self._discard(server)

    # ---- Update ----

    def _update(self, pending: Deployment) -> None:
        """Bring the new server up beside the old one, shift, bake, settle; or go back."""
        name = pending["Config"]["EndpointConfigName"]
        self._say(f"Updating to configuration {name}")
        server = None
        try:
            server = self._brought_up(pending, self._keep_up_the_old)
            self.traffic.bake(server)
            self._say(f"server {server.name} takes the requests")
            self._change(Pending={**pending, "Baking": now()})
            self._bake(server, pending)
            before = self.traffic.settle()
            if before is None:
                raise FailedError(str(self.traffic.fault))
        except FailedError as error:
            self._roll_back(name, server, str(error))
            return
        self.restarts, self.again, self.started = 0, None, time.monotonic()
        self._drain(before)
        self._in_service(pending)
        self._say(f"InService with configuration {name}")

    def _keep_up_the_old(self) -> None:
        """While a new one comes up the old one has to serve; should it fail for good, the new one is all there is."""
        try:
            self._keep_up()
        except FailedError as error:
            self._say(f"the old server is not started again: {error}")
            self.again = time.monotonic() + _MAX_BACK_OFF

    def _bake(self, server: ModelServer, pending: Deployment) -> None:
        policy: dict[str, Any] = pending.get("DeploymentConfig", {}).get("BlueGreenUpdatePolicy", {})
        routing = policy.get("TrafficRoutingConfiguration", {})
        asked = policy.get("TerminationWaitInSeconds", 0)
        asked += routing.get("WaitIntervalInSeconds", 0) if routing.get("Type") != "ALL_AT_ONCE" else 0
        begun, least = time.monotonic(), min(asked, MAX_BAKE_SECONDS)
        while True:
            if fault := server.look() or self.traffic.fault:
                raise FailedError(fault)
            self._keep_up_the_old()
            elapsed = time.monotonic() - begun
            if elapsed >= least and (self.traffic.answered or elapsed >= least + QUIET_SECONDS):
                return
            time.sleep(_POLL_SECONDS)

    def _roll_back(self, name: str, server: ModelServer | None, reason: str) -> None:
        self._say(f"RollingBack: configuration {name}: {reason}")
        self._change(EndpointStatus="RollingBack")
        self.traffic.back()
        if server is not None:
            self._discard(server)
        said = f"The update to {name} was rolled back: {reason}"[:1024]

        def change(record: EndpointRecord) -> None:
            record.pop("Pending", None)
            record.update({"EndpointStatus": "InService", "FailureReason": said})

        self.endpoint.change(change)
        self._say(f"InService with the configuration of before: {said}")

    # ---- Says ----

    def fail(self, reason: str) -> None:
        """The endpoint has failed."""
        self._say(f"Failed: {reason}")
        self.endpoint.change(lambda record: fail(record, reason))

    def abandon(self) -> None:
        """End what runs, whatever it is at."""
        for server in self.living:
            server.end()

    def _in_service(self, deployment: Deployment) -> None:
        """The endpoint runs what was pending."""

        def change(record: EndpointRecord) -> None:
            record.pop("Pending", None)
            record.pop("FailureReason", None)
            record.pop("Restarting", None)
            record["Deployed"] = {key: value for key, value in deployment.items() if key != "Baking"}  # type: ignore[typeddict-item]
            record["EndpointConfigName"] = deployment["Config"]["EndpointConfigName"]
            if record["EndpointStatus"] != "Deleting":
                record["EndpointStatus"] = "InService"
            if "DeploymentConfig" in deployment:
                record["LastDeploymentConfig"] = deployment["DeploymentConfig"]

        self.endpoint.change(change)

    def _change(self, **members: Any) -> None:
        self.endpoint.change(lambda record: record.update(members))  # type: ignore[typeddict-item]

    def _say(self, line: str) -> None:
        self.endpoint.log(line)


def main() -> None:
    """Hold the endpoint up; what nobody foresaw ends it as Failed, with the trace in its log."""
    root, name = Path(sys.argv[1]), sys.argv[2]
    front = Front(root, hosted(root, name))
    try:
        front.run()
    except Exception as error:
        traceback.print_exc()
        front.abandon()
        front.fail(f"{type(error).__name__}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
