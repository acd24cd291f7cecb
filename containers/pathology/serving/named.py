"""Requests that name what the model reads instead of holding it: how much that is, how it is fetched, and what may go wrong there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pathology.contracts.errors import DataError, PathologyError


class NamedError(DataError):
    """What a request names cannot be taken: the text may quote the request, and ``logged`` says the same without."""

    def __init__(self, text: str, logged: str) -> None:
        super().__init__(text)
        self.logged = logged


class UnavailableError(PathologyError):
    """The storage does not answer now, which is not the request's fault: it may come again."""


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """What an endpoint calls between parsing and predicting, in threads of their own, where a task's requests name what it reads.

    ``size`` says of a parsed request how many bytes it names, before any of them is fetched, ``fetch`` gets them and gives the item
    that ``predict`` takes many of. At most ``held`` bytes are held of all requests.
    """

    size: Callable[[Any], int]
    fetch: Callable[[Any, Any], Any]
    predict: Callable[[Sequence[Any], Any], Sequence[Any]]
    held: int
