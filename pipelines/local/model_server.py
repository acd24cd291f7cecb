"""One server of an endpoint: a model's folder laid out as SageMaker's hosting does, and the process that serves it.

The container contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pathology.contracts.errors import DataError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.local import processes
from pipelines.local.entry_point import command, environment
from pipelines.local.records import Deployment
from pipelines.local.volumes import fill_from_s3, unpack
from steps.shapes import Answer

START_SECONDS = 600
"""For a good /ping, where the variant has no ContainerStartupHealthCheckTimeoutInSeconds."""
ANSWER_SECONDS = 60
"""In which a container has to answer, as in the service."""
_PING_SECONDS = 2.0
"""The service's own limit of a ping."""
_PING_EVERY = 5.0
_MAX_BAD_PINGS = 3
"""In a row, of a server that serves. One that does not come in time is not counted: the machine may be busy."""
_TIED = Path(__file__).with_name("tied.py")
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})
"""Headers of an answer that are of one connection, or that whoever passes it on writes itself."""


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: list[tuple[str, str]]
    content: bytes


def container_of(deployment: Deployment) -> Answer:
    """The model's container."""
    return dict(deployment["Model"]["PrimaryContainer"])


def variant_of(deployment: Deployment) -> Answer:
    """The configuration's one variant."""
    return dict(deployment["Config"]["ProductionVariants"][0])


def lay_out(store: FolderStore, container: Answer, root: Path) -> None:
    """What a container finds below /opt/ml: model/ and a folder for each additional channel.

    Raises:
        DataError: for data that are not there or cannot be unpacked.
    """
    model = root / "model"
    model.mkdir(parents=True)
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source and source["CompressionType"] == "None":
        fill_from_s3(store, source, model, 0, 1)
    elif source or "ModelDataUrl" in container:
        uri = Uri.parse(source["S3Uri"] if source else container["ModelDataUrl"])
        if store.entry(uri) is None:
            raise DataError(f"no S3 objects found under {uri}")
        unpack(uri.under(store.root), model)
    for channel in container.get("AdditionalModelDataSources", []):
        folder = root / "additional-model-data-sources" / channel["ChannelName"]
        if channel["S3DataSource"]["CompressionType"] == "None":
            fill_from_s3(store, channel["S3DataSource"], folder, 0, 1)
        else:
            folder.mkdir(parents=True)
            unpack(Uri.parse(channel["S3DataSource"]["S3Uri"]).under(store.root), folder)


@dataclass
class ModelServer:
    """A server over a root that was laid out. ``good`` when its /ping was; its process is started by the front's main thread, with
    which it ends: Linux ties it to the thread."""

    root: Path
    store: FolderStore
    deployment: Deployment
    good: bool = False
    port: int | None = None
    requests: int = 0
    _host: processes.Host | None = None
    _read_from: int = 0
    _since: float = 0.0
    _pinged: float = 0.0
    _bad_pings: int = 0

    @property
    def name(self) -> str:
        """The server's number in the endpoint."""
        return self.root.name

    @property
    def seconds(self) -> float:
        """How long it may take to answer its first ping."""
        return float(variant_of(self.deployment).get("ContainerStartupHealthCheckTimeoutInSeconds", START_SECONDS))

    @property
    def host(self) -> processes.Host:
        """The process that was started."""
        assert self._host is not None
        return self._host

    def start(self) -> None:
        """Start the process; its port is known when it has logged it."""
        log = processes.log_of(self.root)
        self._read_from = log.stat().st_size if log.exists() else 0
        self.good, self.port, self._bad_pings = False, None, 0
        variables = {
            **environment(self.root, self.store.root, os.cpu_count() or 1),
            **container_of(self.deployment).get("Environment", {}),
            "PATHOLOGY_HOST": "127.0.0.1",
            "PATHOLOGY_PORT": "0",
        }
        words = [sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), *command(["serve"])]
        self._host = processes.start(words, self.root, variables)
        self._since = time.monotonic()

    def look(self) -> str | None:
        """See how the process is; why it will not serve any more, or None."""
        if (code := self.host.code) is not None:
            self.good = False
            return f"its server ended with exit code {processes.exit_code(code)}: {processes.last_line(self.root)}"
        if self.good:
            return self._sick()
        self.port = self.port or self._logged_port()
        if self.port is not None and self._ping():
            self.good = True
        elif time.monotonic() - self._since > self.seconds:
            return f"its server did not pass the ping health check within {self.seconds:.0f} s: {processes.last_line(self.root)}"
        return None

    def _logged_port(self) -> int | None:
        """The port in the line ``{"event": "listening", "port": …}`` of what this process has logged."""
        with processes.log_of(self.root).open("rb") as file:
            file.seek(self._read_from)
            for line in file.read().split(b"\n")[:-1]:
                with suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    if entry["event"] == "listening":
                        return int(entry["port"])
        return None

    def _sick(self) -> str | None:
        """Why a server that serves has to be replaced, by its pings, which come now and then."""
        if time.monotonic() - self._pinged < _PING_EVERY:
            return None
        self._bad_pings = 0 if self._ping() is not False else self._bad_pings + 1
        return f"its server failed {self._bad_pings} pings in a row" if self._bad_pings >= _MAX_BAD_PINGS else None

    def _ping(self) -> bool | None:
        """Whether a ping is good; None when it does not come in time."""
        self._pinged = time.monotonic()
        try:
            return self.ask("GET", "/ping", {}, b"", _PING_SECONDS).status == http.client.OK
        except TimeoutError:
            return None
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes, seconds: float = ANSWER_SECONDS) -> Reply:
        """One request on a connection of its own.

        Raises:
            OSError: when nothing listens, the connection breaks or nothing comes in time.
            HTTPException: when what comes is no HTTP, or ends too early.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body or None, {**headers, "Connection": "close"})
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
            return Reply(answer.status, kept, answer.read())
        finally:
            connection.close()

    def end(self) -> None:
        """End the process and all that it started."""
        self.good = False
        if self._host is not None:
            processes.end([self._host])
