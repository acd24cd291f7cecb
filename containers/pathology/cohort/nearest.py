"""Names that nearly match: what somebody most likely meant by a name that fits nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from pathology.cohort.tcga import patient_of
from pathology.contracts.identifiers import skeleton

MIN_SIMILARITY = 0.6
"""Of the letters of two names whose numbers are equal. ``cas`` and ``case`` have 0.86, ``lung`` and ``colon`` 0.44."""
SEPARATORS = "-_. "
MAX_GROUP = 200
"""Names with the same numbers that are compared; a name with no number of its own resembles too many to say anything."""


def nearest(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """For each of ``names`` that nearly is one of ``known``, or begins so, or ends so, that one.

    Their numbers must be equal, leading zeros apart: cohorts are numbered, and 17 for 18 is another patient. Of two TCGA barcodes
    neither is ever meant by the other.
    """
    by_numbers: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(set(known)):
        by_numbers.setdefault(_numbers(name), []).append(name)
    found: dict[str, str] = {}
    for name in names:
        best, similarity = "", MIN_SIMILARITY
        for part in _parts(name):
            for candidate in by_numbers.get(_numbers(part), [])[:MAX_GROUP]:
                if patient_of(name) and patient_of(candidate):
                    continue
                ratio = _similarity(part, candidate)
                if ratio > similarity or (ratio == similarity and not best):
                    best, similarity = candidate, ratio
        if best:
            found[name] = best
    return found


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", skeleton(name)))


def _parts(name: str) -> list[str]:
    """The name, and what begins or ends it up to a separator, the longest first; never a part without a number."""
    cuts = [place for place, char in enumerate(name) if char in SEPARATORS and 0 < place < len(name) - 1]
    parts = [name, *(name[:cut] for cut in reversed(cuts)), *(name[cut + 1 :] for cut in cuts)]
    return [name, *(part for part in parts[1:] if _numbers(part))]


def _similarity(one: str, other: str) -> float:
    first, second = (re.sub(r"[\W\d_]+", "", skeleton(name)) for name in (one, other))
    return 1.0 if first == second else SequenceMatcher(None, first, second, autojunk=False).ratio()
