"""What AWS's refusals mean, by the answer that botocore's ClientError carries: one reading for jobs and for verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

_MISSING = ("resourcenotfound", "does not exist", "could not find", "not found", "doesn't exist")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403"})


class Refused(Protocol):
    """As much of ``botocore.exceptions.ClientError`` as is looked at."""

    response: Mapping[str, Any]


def code_of(error: Refused) -> str:
    """Its code, such as ``ConflictException``; empty where the answer has none."""
    return str(error.response["Error"].get("Code", ""))


def message_of(error: Refused) -> str:
    """What the service said; empty where the answer has no words."""
    return str(error.response["Error"].get("Message", ""))


def is_missing(error: Refused) -> bool:
    """Whether the answer means "there is none": AWS declares ResourceNotFound, some answers are ValidationException."""
    said = f"{code_of(error)} {message_of(error)}".lower()
    return any(words in said for words in _MISSING)


def is_denied(error: Refused) -> bool:
    """Whether a permission is missing."""
    return code_of(error) in _DENIED


def is_conflict(error: Refused) -> bool:
    """Whether somebody else is changing the same thing just now."""
    return code_of(error) == "ConflictException"
