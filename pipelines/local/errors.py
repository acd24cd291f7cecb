"""Errors as boto3 raises them."""

from __future__ import annotations

from botocore.exceptions import ClientError


def refused(operation: str, message: str, code: str = "ValidationException") -> ClientError:
    """A ClientError with the service's code and message."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def missing(operation: str, message: str) -> ClientError:
    """What the service answers for something that is not there."""
    return refused(operation, message, "ResourceNotFound")
