"""An object with boto3's ``sagemaker-runtime`` method name and shapes, for endpoints of this machine."""

from __future__ import annotations

import http.client
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from pipelines.local.errors import LocalRefusedError, known
from pipelines.local.hosting import hosted, reap_dead_front
from pipelines.local.model_server import ANSWER_SECONDS
from pipelines.local.processes import log_of
from pipelines.local.state import ACCOUNT, REGION
from pipelines.local.traffic import VARIANT_HEADER
from steps.shapes import Answer

_OPERATION = "InvokeEndpoint"
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_SERVING = ("InService", "Updating", "RollingBack")
_SERVED_TWICE = 2
"""During an update a request may be answered by one server after the other."""


def _error(code: str, message: str, status: int, **members: Any) -> LocalRefusedError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **members}
    return LocalRefusedError(response, _OPERATION)


class LocalRuntime:
    """Endpoints below ``root``; arguments, answers and errors as boto3's."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    def invoke_endpoint(
        self,
        *,
        EndpointName: str,
        Body: Any,
        ContentType: str = "",
        Accept: str = "",
        CustomAttributes: str = "",
        **optional: Any,
    ) -> Answer:
        """InvokeEndpoint.

        Raises:
            ClientError: ``ValidationError`` for an endpoint that does not take requests, ``ModelError`` (424) with
                OriginalStatusCode and OriginalMessage where the model answers with a 4xx or a 5xx, ``ServiceUnavailable`` while its
                server is being started again.
        """
        known(_OPERATION, optional, ())
        given = {"Content-Type": ContentType, "Accept": Accept, _ATTRIBUTES: CustomAttributes}
        headers = {name: value for name, value in given.items() if value}
        body = Body.read() if hasattr(Body, "read") else Body
        address = urlsplit(self._url(EndpointName)).netloc
        connection = http.client.HTTPConnection(address, timeout=_SERVED_TWICE * ANSWER_SECONDS)
        try:
            connection.request("POST", "/invocations", body.encode() if isinstance(body, str) else bytes(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise _error("ServiceUnavailable", f"Endpoint {EndpointName} broke off the request: {error!r}.", 503) from None
        finally:
            connection.close()
        variant = answer.headers.get(VARIANT_HEADER)
        if variant is None:
            raise _error("ServiceUnavailable", f"Endpoint {EndpointName}: {_said(content)}", answer.status)
        if not http.client.OK <= answer.status < http.client.MULTIPLE_CHOICES:
            raise self._model_error(EndpointName, variant, answer.status, content)
        attributes = answer.headers.get(_ATTRIBUTES)
        return {
            "Body": io.BytesIO(content),
            "ContentType": answer.headers.get("Content-Type", ""),
            "InvokedProductionVariant": variant,
            **({"CustomAttributes": attributes} if attributes else {}),
            "ResponseMetadata": {"HTTPStatusCode": answer.status, "HTTPHeaders": dict(answer.headers), "RetryAttempts": 0},
        }

    def _url(self, name: str) -> str:
        endpoint = hosted(self.root, name)
        reap_dead_front(endpoint)
        record = endpoint.record
        if record is None:
            raise _error("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.", 400)
        if record["EndpointStatus"] not in _SERVING:
            message = f"Endpoint {name} of account {ACCOUNT} is {record['EndpointStatus']}, and takes no requests."
            raise _error("ValidationError", message, 400)
        return record["Url"]

    def _model_error(self, name: str, variant: str, status: int, content: bytes) -> LocalRefusedError:
        said = content.decode(errors="replace")
        kind = "server" if status >= http.client.INTERNAL_SERVER_ERROR else "client"
        logs = ", ".join(str(log_of(path)) for path in sorted(hosted(self.root, name).servers.glob("[0-9]*/")))
        message = f'Received {kind} error ({status}) from primary with message "{said}". See {logs} for more information.'
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{name}"
        members = {"OriginalStatusCode": status, "OriginalMessage": said, "LogStreamArn": group}
        return _error("ModelError", message, 424, **members)


def _said(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")
