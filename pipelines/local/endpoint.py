"""SageMaker for the jobs of a local run: an HTTP server on 127.0.0.1 that answers by the methods that verbs use.

A job's boto3 finds it by ``AWS_ENDPOINT_URL_SAGEMAKER``, and shows the run's token as the session token of its credentials, which
every signed request has as a header: a job is written as for AWS. The server lives as long as the process that runs the execution.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from botocore import xform_name
from botocore.exceptions import ClientError

from pipelines.checks.shapes import request_faults, service_model
from pipelines.local.client import LocalSageMaker
from pipelines.local.damage import DamagedError
from pipelines.local.errors import refused
from pipelines.local.state import ACCOUNT, REGION
from pipelines.local.wire import read_request, write_answer
from steps.shapes import Request

ALLOWED = frozenset(
    {
        *("DescribeModelPackage", "DescribeModelPackageGroup", "DescribePipelineExecution"),
        *("ListModelPackageGroups", "ListModelPackages", "ListTags", "UpdateModelPackage"),
    }
)
"""What a job may ask: of model versions and of its own execution. No job starts anything, makes or deletes a version."""
_STATUS, _DECIDED = "ModelApprovalStatus", ("Approved", "Rejected")
_HOST = "127.0.0.1"
_PREFIX = "SageMaker"
_MAX_BYTES = 2**20
_SECONDS = 30
"""For a request to come in whole."""
_POLL_SECONDS = 0.02


class Endpoint:
    """``with Endpoint(client, execution) as endpoint:`` answers until the block ends; ``endpoint.environment`` is for jobs."""

    def __init__(self, client: LocalSageMaker, execution: str) -> None:
        self.client, self.execution = client, execution
        self.token = secrets.token_urlsafe(32)
        self.server = _Server(self)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(_POLL_SECONDS,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens, on a port that the system chose."""
        return f"http://{_HOST}:{self.server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 in a job is to find, as on AWS a region and credentials; a person's own AWS settings it does not read."""
        return {
            "AWS_ENDPOINT_URL_SAGEMAKER": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",  # pragma: allowlist secret
            "AWS_SESSION_TOKEN": self.token,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": _HOST,
        }

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, target: str, token: str, content: bytes) -> tuple[int, bytes]:
        """Status and body for a request of ``target``, ``SageMaker.<operation>``, with ``token``; whatever goes wrong in answering is a
        line in the run's log, and a 500."""
        service, _, operation = target.partition(".")
        try:
            self._admit(token, service, operation)
            return 200, self._called(operation, content)
        except ClientError as error:
            return 400, _error(error.response["Error"]["Code"], error.response["Error"]["Message"])
        except DamagedError as error:  # no fault that another try would find gone
            return 400, _error("ValidationException", str(error))
        except Exception as error:
            print(f"a job's {operation} was not answered: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return 500, _error("InternalFailure", f"{type(error).__name__}: {error}")

    def _admit(self, token: str, service: str, operation: str) -> None:
        """Refuse whoever is not of this run, and what no job may do.

        Raises:
            ClientError: in the service's words.
        """
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise refused(operation, "The security token included in the request is invalid.", "UnrecognizedClientException")
        if service != _PREFIX or operation not in service_model().operation_names:
            raise refused(operation, f"Unknown operation {service}.{operation}.", "UnknownOperationException")
        if operation not in ALLOWED:
            raise self._denied(operation)

    def _denied(self, operation: str, why: str = "") -> ClientError:
        role = f"arn:aws:sts::{ACCOUNT}:assumed-role/local/{self.execution}"
        message = (
            f"User: {role} is not authorized to perform: sagemaker:{operation} on resource: * because no identity-based policy allows "
            f"the sagemaker:{operation} action{why}"
        )
        return refused(operation, message, "AccessDeniedException")

    def _called(self, operation: str, content: bytes) -> bytes:
        model = service_model().operation_model(operation)
        try:
            request: Request = read_request(content, model.input_shape)
        except ValueError as error:
            raise refused(operation, str(error), "SerializationException") from None
        faults = request_faults(operation, request)
        if faults:
            raise refused(operation, "; ".join(faults))
        if operation == "UpdateModelPackage" and (member := _for_people(request)):
            raise self._denied(operation, f" with {member}")
        answer = getattr(self.client, xform_name(operation))(**request)
        return write_answer(answer, model.output_shape)


def _for_people(request: Request) -> str:
    """The member of UpdateModelPackage by which a person approves or rejects; "" where there is none. No job may send it."""
    if _STATUS in request:
        return _STATUS
    decided = request.get("ModelLifeCycle", {}).get("StageStatus") in _DECIDED
    return "ModelLifeCycle.StageStatus" if decided else ""


def _error(code: str, message: str) -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


class _Server(ThreadingHTTPServer):
    """A thread for each request; none keeps the run from ending."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__((_HOST, 0), _Handler)
        self.endpoint = endpoint

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A job that hung up, say: one line in the run's log."""
        error = sys.exc_info()[1]
        print(f"a job's request was broken off: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class _Handler(BaseHTTPRequestHandler):
    """One request of AWS JSON 1.1, which is always a POST to ``/``."""

    server: _Server
    timeout = _SECONDS

    def do_POST(self) -> None:
        """Read it whole, and answer."""
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) > _MAX_BYTES:
            status, content = 413, _error("RequestEntityTooLarge", f"a request has a Content-Length of at most {_MAX_BYTES}")
        else:
            target, token = (self.headers.get(name) or "" for name in ("X-Amz-Target", "X-Amz-Security-Token"))
            status, content = self.server.endpoint.answer(target, token, self.rfile.read(int(length)))
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-amzn-RequestId", secrets.token_hex(16))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing of what went well: the run's log is for what did not."""
