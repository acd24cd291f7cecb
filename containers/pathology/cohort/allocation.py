"""Apportionment: whole numbers in proportion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K", int, str)


def apportion(sizes: Mapping[K, int], wanted: int) -> dict[K, int]:
    """How many of ``wanted`` each group gives, in proportion to its size: its quota rounded down, and one more for the largest remainders.

    Equal remainders go by the groups' keys. No group gives more than it has while ``wanted`` is at most the sum.
    """
    total = sum(sizes.values())
    exact = {key: size * wanted / total for key, size in sizes.items()}
    counts = {key: int(quota) for key, quota in exact.items()}
    by_remainder = sorted(exact, key=lambda key: (counts[key] - exact[key], key))
    for key in by_remainder[: wanted - sum(counts.values())]:
        counts[key] += 1
    return counts
