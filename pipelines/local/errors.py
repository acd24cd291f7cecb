"""Errors as boto3 raises them, and the checks that every call makes."""

from __future__ import annotations

import re
from collections.abc import Collection

from botocore.exceptions import ClientError

from pipelines.checks.shapes import request_faults
from steps.shapes import Request

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")


class LocalRefusedError(ClientError):
    """A ClientError that came from no service: this machine says no."""


def refused(operation: str, message: str, code: str = "ValidationException") -> LocalRefusedError:
    """A ClientError with the service's code and message."""
    return LocalRefusedError({"Error": {"Code": code, "Message": message}}, operation)


def missing(operation: str, message: str) -> LocalRefusedError:
    """What the service answers for something that is not there."""
    return refused(operation, message, "ResourceNotFound")


def check_name(operation: str, name: str, max_length: int) -> None:
    """Hold a name against the service's pattern; it becomes a file's name here.

    Raises:
        ClientError: for any other.
    """
    if len(name) > max_length or not _NAME.fullmatch(name):
        raise refused(
            operation, f"Value {name!r} failed to satisfy constraint: letters, digits and dashes, at most {max_length}."
        )


def known(operation: str, given: Collection[str], understood: Collection[str]) -> None:
    """Refuse arguments that the service has and this machine has not, rather than do something else than was asked.

    Raises:
        ClientError: naming them.
    """
    others = sorted(set(given) - set(understood))
    if others:
        raise refused(operation, f"{', '.join(others)} is not supported by local runs.")


def check_request(operation: str, request: Request) -> None:
    """Hold a request against the service's model of it.

    Raises:
        ClientError: naming what does not fit.
    """
    faults = request_faults(operation, request)
    if faults:
        raise refused(operation, "; ".join(faults))
