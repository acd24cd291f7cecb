"""An endpoint's address: HTTP on a port of 127.0.0.1, each request answered by one of the endpoint's servers."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipelines.local.model_server import ModelServer, Reply, variant_of

VARIANT_HEADER = "x-Amzn-Invoked-Production-Variant"
"""Says which variant answered, as the service's own; an answer without it is the front's."""
MAX_BODY = 25 * 2**20
"""Bytes of a request, as in the service: https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints.html."""
_PASSED = frozenset({"content-type", "accept", "x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-inference-id"})
_IDLE_SECONDS = 75
_FINISH_SECONDS = 2.0


class Traffic:
    """Which server a request goes to. While a new one is baking it has them all, and the one before it answers what it fails on."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.serving: ModelServer | None = None
        self.baking: ModelServer | None = None
        self.fault: str | None = None
        self.answered = 0

    def bake(self, server: ModelServer) -> None:
        """Send requests to a new server, the one before it standing by."""
        with self.guard:
            self.baking, self.fault, self.answered = server, None, 0

    def back(self) -> None:
        """Send requests to the one before it again."""
        with self.guard:
            self.baking = None

    def settle(self) -> ModelServer | None:
        """The baked one serves alone, unless it has failed meanwhile; the one before it, which takes no requests any more."""
        with self.guard:
            if self.fault is not None:
                return None
            before, self.serving, self.baking = self.serving, self.baking, None
            return before

    def stop(self) -> None:
        """Take no requests any more."""
        with self.guard:
            self.serving = self.baking = None

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Reply, ModelServer | None]:
        """An answer and the server that gave it: None where the front had to."""
        with self.guard:
            servers = [server for server in (self.baking, self.serving) if server is not None]
            for server in servers:
                server.requests += 1
        try:
            return self._answer(servers, method, path, headers, body)
        finally:
            with self.guard:
                for server in servers:
                    server.requests -= 1

    def _answer(
        self, servers: list[ModelServer], method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[Reply, ModelServer | None]:
        failed: tuple[Reply, ModelServer] | None = None
        wrong = "no server of it is ready"
        for number, server in enumerate(servers):
            if not server.good:
                wrong = "its server is being started again: try again in a moment"
                continue
            try:
                reply = server.ask(method, path, headers, body)
            except (OSError, HTTPException) as error:
                wrong = f"its server broke off {method} {path} ({type(error).__name__})"
                self._blame(server, wrong)
                continue
            if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                if path == "/invocations":
                    self._praise(server)
                return reply, server
            self._blame(
                server, f"it answered {method} {path} with {reply.status}: {reply.content[:200].decode(errors='replace')}"
            )
            failed = failed or (reply, server)
            if number == len(servers) - 1:
                break
        return failed or (refusal(HTTPStatus.SERVICE_UNAVAILABLE, wrong), None)

    def _blame(self, server: ModelServer, fault: str) -> None:
        with self.guard:
            if server is self.baking and self.fault is None:
                self.fault = fault

    def _praise(self, server: ModelServer) -> None:
        with self.guard:
            if server is self.baking:
                self.answered += 1


def refusal(status: HTTPStatus, reason: str) -> Reply:
    """An answer of the front itself."""
    return Reply(status, [("Content-Type", "application/json")], json.dumps({"error": reason}).encode())


class Address(ThreadingHTTPServer):
    """Listens from the start on a port that the system chooses."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, traffic: Traffic, port: int = 0) -> None:
        self.traffic = traffic
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Address
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_expect_100(self) -> bool:
        """Ask for the body at once: curl waits a second for it before it sends a large one."""
        asked = super().handle_expect_100()
        self.wfile.flush()
        return asked

    def do_GET(self) -> None:
        """Ping."""
        self._pass("/ping")

    def do_POST(self) -> None:
        """Invocations."""
        self._pass("/invocations")

    def _pass(self, path: str) -> None:
        """Read the request whole, so that it can be sent again, and pass it on."""
        body = self._body()
        if body is None:  # whoever sent it is gone
            self.close_connection = True
        elif isinstance(body, Reply):
            self.close_connection = True
            self._write(body, None)
            self._let_finish()
        elif self.path.partition("?")[0] != path:
            self._write(refusal(HTTPStatus.NOT_FOUND, "there are GET /ping and POST /invocations, and nothing else"), None)
        else:
            headers = {name: value for name, value in self.headers.items() if name.lower() in _PASSED}
            self._write(*self.server.traffic.answer(self.command, path, headers, body))

    def _body(self) -> bytes | Reply | None:
        length = self.headers.get("Content-Length", "0" if self.command == "GET" else "")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            return refusal(HTTPStatus.LENGTH_REQUIRED, "send the body whole, with its Content-Length")
        if int(length) > MAX_BODY:
            return refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {int(length):,} bytes, at most {MAX_BODY:,} are taken"
            )
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _let_finish(self) -> None:
        """Read what is still being sent of a request that was refused: a connection that is closed under it may lose the answer."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_FINISH_SECONDS)
            until = time.monotonic() + _FINISH_SECONDS
            while time.monotonic() < until and self.connection.recv(2**16):
                continue

    def _write(self, reply: Reply, server: ModelServer | None) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if server is not None:
            self.send_header(VARIANT_HEADER, variant_of(server.deployment)["VariantName"])
        self.send_header("Content-Length", str(len(reply.content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.content)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing a request: servers log their own."""
