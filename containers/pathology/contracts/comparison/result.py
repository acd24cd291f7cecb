"""What a comparison of two models found; ``first`` is the candidate where ``second`` is a champion. Strict JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pathology.contracts.evaluation import Bounds, Count, Probability
from pathology.contracts.intervals import Interval
from pathology.contracts.strict_json import StrictJson


class PairedScore(StrictJson):
    """A measure of both models on the same items, null where it has no value, and ``first`` less ``second``.

    ``bounds`` are of the difference, by ``method``; null where no method's coverage was simulated, and ``method`` then says so.
    """

    first: float | None
    second: float | None
    difference: float | None
    bounds: Bounds | None
    method: str

    @classmethod
    def of(cls, first: float, second: float, difference: Interval) -> Self:
        """With an interval."""
        bounds = Bounds.of(difference)
        return cls(first=first, second=second, difference=difference.value, bounds=bounds, method=difference.method)

    @classmethod
    def without_interval(cls, first: float | None, second: float | None, reason: str) -> Self:
        """Values alone."""
        difference = None if first is None or second is None else first - second
        return cls(first=first, second=second, difference=difference, bounds=None, method=reason)


class LeftOut(StrictJson):
    """Items of either model's test that were not compared, each under the first reason that holds.

    ``only_first`` and ``only_second`` were answered by that model alone; ``other_content``: one id with two contents; ``other_truth``:
    one id with two labels; ``learned_by_first`` and ``learned_by_second``: that model was trained on it.
    """

    only_first: Count = 0
    only_second: Count = 0
    other_content: Count = 0
    other_truth: Count = 0
    learned_by_first: Count = 0
    learned_by_second: Count = 0

    def __str__(self) -> str:
        said = [
            (self.only_first, "answered by the first model alone"),
            (self.only_second, "answered by the second model alone"),
            (self.other_content, "of other content"),
            (self.other_truth, "with another label"),
            (self.learned_by_first, "that the first model was trained on"),
            (self.learned_by_second, "that the second model was trained on"),
        ]
        return ", ".join(f"{count:,} {words}" for count, words in said if count) or "none"


class Agreement(StrictJson):
    """Items by which model is right at its own threshold, and McNemar's exact p (1947) that the two are right equally often."""

    both_right: Count
    only_first: Count
    only_second: Count
    both_wrong: Count
    p_value: Probability


class DifferentItem(StrictJson):
    """An item that the models answer differently: its probabilities, or its own scores; ``first_right`` is null where nothing decides."""

    item: str
    group: str
    label: int | None
    first: float
    second: float
    first_right: bool | None


class GroupRow(StrictJson):
    """A site or a class: ``n`` items, of which ``positives`` (null where items have no class), and its scores by measure."""

    name: str
    n: Count
    positives: Count | None
    scores: Mapping[str, PairedScore]


class PairedComparison(StrictJson):
    """``first`` and ``second`` are what messages call the models; ``n`` items, counted in ``unit``, were answered by both.

    Where they are not ``comparable`` ``reason`` says why, and there is nothing else. ``by_id_alone`` of the items have no hash of their
    content on both sides. ``learning_unknown`` are the models of which it is not known what they were trained on. ``different`` are
    the items on which the models differ, most different first; ``different_of`` is how many there are of them in all.
    """

    first: str
    second: str
    unit: str
    comparable: bool
    reason: str
    n: Count
    positives: Count | None
    by_id_alone: Count
    left_out: LeftOut
    learning_unknown: list[str]
    confidence: float
    scores: Mapping[str, PairedScore]
    agreement: Agreement | None
    different: list[DifferentItem]
    different_of: Count
    groups: list[GroupRow]
