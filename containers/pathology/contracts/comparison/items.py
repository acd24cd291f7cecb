"""Which items two models can be compared on: those that both answered, with the same content, and that neither was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathology.contracts.comparison.result import LeftOut, PairedComparison
from pathology.contracts.errors import DataError

MIN_ITEMS = 30
"""Fewer say nothing about which of two models is better."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What tells an item again: its ``truth``, a label or None, and the hash of its ``content``, empty where that is not known."""

    truth: int | None
    content: str = ""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One model: its ``name`` in messages, what it answered by item, and the items it was trained on, None where that is not known."""

    name: str
    marks: Mapping[str, Mark]
    learned: frozenset[str] | None


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The ``items`` to compare on, in order of their ids, and what is not among them."""

    sides: tuple[Side, Side]
    unit: str
    items: tuple[str, ...]
    left_out: LeftOut
    by_id_alone: int

    @classmethod
    def of(cls, first: Side, second: Side, unit: str) -> Matched:
        """Match by id; where both sides have a hash of the content, by that too."""
        counts = dict.fromkeys(LeftOut.model_fields, 0)
        items = []
        for item in sorted({*first.marks, *second.marks}):
            reason = _left_out(item, first, second)
            if reason is None:
                items.append(item)
            else:
                counts[reason] += 1
        hashed = sum(bool(first.marks[item].content and second.marks[item].content) for item in items)
        return cls(
            sides=(first, second),
            unit=unit,
            items=tuple(items),
            left_out=LeftOut(**counts),
            by_id_alone=len(items) - hashed,
        )

    def refusal(self, positives: int | None) -> str:
        """Why nothing can be said of these items, of which so many are ``positives`` (None: they have no class); empty where it can."""
        n = len(self.items)
        if n < MIN_ITEMS:
            return f"{n} {self.unit} in common, and it takes {MIN_ITEMS} (left out: {self.left_out})"
        if positives in (0, n):
            return f"the {n} {self.unit} in common are all of one class (left out: {self.left_out})"
        return ""

    def comparison(self, *, positives: int | None, confidence: float, reason: str = "", **found: Any) -> PairedComparison:
        """What was ``found`` on these items, or that they are not comparable for a ``reason``."""
        nothing: dict[str, Any] = {"scores": {}, "agreement": None, "different": [], "different_of": 0, "groups": []}
        return PairedComparison(
            first=self.sides[0].name,
            second=self.sides[1].name,
            unit=self.unit,
            comparable=not reason,
            reason=reason,
            n=len(self.items),
            positives=positives,
            by_id_alone=self.by_id_alone,
            left_out=self.left_out,
            learning_unknown=[side.name for side in self.sides if side.learned is None],
            confidence=confidence,
            **(nothing | found),
        )


def _left_out(item: str, first: Side, second: Side) -> str | None:
    """The field of :class:`LeftOut` that counts ``item``, None for one that is compared."""
    ours, theirs = first.marks.get(item), second.marks.get(item)
    if ours is None or theirs is None:
        return "only_second" if ours is None else "only_first"
    if ours.content and theirs.content and ours.content != theirs.content:
        return "other_content"
    if ours.truth != theirs.truth:
        return "other_truth"
    for side, reason in ((first, "learned_by_first"), (second, "learned_by_second")):
        if side.learned is not None and item in side.learned:
            return reason
    return None


def once(items: Sequence[str], where: str) -> None:
    """Check that no item stands twice.

    Raises:
        DataError: naming the first that does, and the model.
    """
    seen: set[str] = set()
    for item in items:
        if item in seen:
            raise DataError(f"{where}: {item} is answered twice in its predictions.csv; keep one row of each item")
        seen.add(item)
