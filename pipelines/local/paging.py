"""Answers in pages, as the service gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.local.errors import refused
from steps.shapes import Answer

MAX_PAGE_SIZE = 100


def page(
    operation: str, key: str, items: Sequence[Mapping[str, Any]], token: str | None, size: int | None, usual: int = 10
) -> Answer:
    """``{key: some of items}`` from where ``token`` stands, with ``NextToken`` while there is more.

    Raises:
        ClientError: for a token that no earlier page gave, or a size out of range.
    """
    if token is not None and not token.isdigit():
        raise refused(operation, f"NextToken {token!r} is not valid.")
    if size is not None and not 1 <= size <= MAX_PAGE_SIZE:
        raise refused(operation, f"MaxResults {size} is not between 1 and {MAX_PAGE_SIZE}.")
    start = int(token or 0)
    end = start + (size or usual)
    answer: Answer = {key: items[start:end]}
    if end < len(items):
        answer["NextToken"] = str(end)
    return answer


def in_order(items: list[Answer], by: str, order: str) -> list[Answer]:
    """Items sorted by one of their keys; ``order`` is Ascending or Descending."""
    return sorted(items, key=lambda item: item[by], reverse=order == "Descending")


def named_page(
    operation: str,
    key: str,
    items: list[Answer],
    name: str,
    *,
    NameContains: str = "",
    SortBy: str = "CreationTime",
    SortOrder: str = "Descending",
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> Answer:
    """A page of items whose names, their member ``name``, contain a text in any case; the youngest first unless asked otherwise.

    Raises:
        ClientError: as :func:`page` does.
    """
    named = [item for item in items if NameContains.lower() in item[name].lower()]
    ordered = in_order(named, {"Name": name}.get(SortBy, SortBy), SortOrder)
    return page(operation, key, ordered, NextToken, MaxResults)
