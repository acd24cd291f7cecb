"""Answers that come in pages, read to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def paginate(
    call: Callable[..., dict[str, Any]], key: str, next_key: str = "NextToken", **arguments: Any
) -> Iterator[dict[str, Any]]:
    """What stands under ``key``, over all pages of ``call``; ``next_key`` is how the service spells NextToken."""
    more: dict[str, str] = {}
    while True:
        answer = call(**arguments, **more)
        yield from answer.get(key, [])
        if not answer.get(next_key):
            return
        more = {next_key: answer[next_key]}
