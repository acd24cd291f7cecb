"""Which of the content types that are offered a request's Accept header asks for (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from pathology.contracts.errors import RequestError


def agree(accept: str, offered: Sequence[str]) -> str:
    """The one of ``offered`` that is wanted most: by q, then by the caller's order, then by ours. Nothing is any.

    Raises:
        RequestError: when none is wanted.
    """
    accepted = []
    for position, part in enumerate(accept.split(",")):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        accepted.append((-_quality(parameters), position, kind or "*/*"))
    refused = {kind for quality, _, kind in accepted if quality == 0}
    for _, _, kind in sorted(entry for entry in accepted if entry[0] < 0):
        for offer in offered:
            if kind in (offer, f"{offer.partition('/')[0]}/*", "*/*") and offer not in refused:
                return offer
    raise RequestError(f"accept {accept!r}: the answer is {' or '.join(offered)}")


def _quality(parameters: Sequence[str]) -> float:
    """0 to 1; 1 where it is absent, 0 where it is not a number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))  # NaN becomes 0
            except ValueError:
                return 0.0
    return 1.0
