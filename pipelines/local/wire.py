"""AWS JSON 1.1, in which SageMaker is called: requests read and answers written by botocore's model of the service.

Format: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html. Times are seconds since 1970.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from steps.shapes import Answer, Request


def read_request(content: bytes, shape: Any) -> Request:
    """A request's members, its times as datetimes; null is as if it were left out. Members that ``shape`` has not stay as they are.

    Raises:
        ValueError: when ``content`` is no JSON object, or a time in it is no number.
    """
    request = json.loads(content or b"{}")
    if not isinstance(request, dict):
        raise ValueError("the request is no JSON object")
    return dict(_read(request, shape))


def _read(value: Any, shape: Any) -> Any:
    kind = shape.type_name if shape is not None else None
    if kind == "structure" and isinstance(value, dict):
        return {key: _read(child, shape.members.get(key)) for key, child in value.items() if child is not None}
    if kind == "map" and isinstance(value, dict):
        return {key: _read(child, shape.value) for key, child in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_read(child, shape.member) for child in value]
    if kind == "timestamp":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is no time in seconds since 1970")
        return datetime.fromtimestamp(value, UTC)
    return value


def write_answer(answer: Answer, shape: Any) -> bytes:
    """An answer as boto3 returns it, as it goes over the wire; nothing for an operation that answers nothing.

    Raises:
        KeyError: for a member that ``shape`` has not.
    """
    return b"" if shape is None else json.dumps(_write(answer, shape), ensure_ascii=False, allow_nan=False).encode()


def _write(value: Any, shape: Any) -> Any:
    match shape.type_name:
        case "structure":
            return {key: _write(child, shape.members[key]) for key, child in value.items()}
        case "map":
            return {key: _write(child, shape.value) for key, child in value.items()}
        case "list":
            return [_write(child, shape.member) for child in value]
        case "timestamp":
            return value.timestamp()
        case _:
            return value
