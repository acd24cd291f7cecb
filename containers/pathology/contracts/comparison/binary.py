"""Two binary classifiers on the same items, from their rows of predictions.csv."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from pathology.contracts.comparison.items import Mark, Matched, Side, once
from pathology.contracts.comparison.result import Agreement, DifferentItem, GroupRow, PairedComparison, PairedScore
from pathology.contracts.errors import DataError
from pathology.contracts.intervals import Interval, closed
from pathology.contracts.intervals.binary import placements
from pathology.contracts.intervals.paired import IDENTICAL, area_difference, mean_of_differences, proportion_difference

MIN_OF_CLASS = 5
"""Fewer positives or negatives have no interval of the difference of AUROCs: of fewer no coverage was simulated."""
FEW = f"no interval: its coverage is not known with fewer than {MIN_OF_CLASS} of a class"
OF_GROUPS = "no interval: the numbers of sites differ too much to know its coverage"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One test item: its ``label`` of 0 or 1 and a model's ``probability`` of 1; ``content`` is a hash of what the model saw, empty where
    that is not known, and ``group`` its site, or empty."""

    item: str
    label: int
    probability: float
    content: str = ""
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A model's on its test items: its ``name`` in messages, the ``threshold`` from which it calls an item 1, and the items that it was
    ``learned`` from, None where that is not known."""

    name: str
    threshold: float
    rows: Sequence[Answer]
    learned: frozenset[str] | None

    def side(self) -> Side:
        """For matching."""
        once([row.item for row in self.rows], self.name)
        marks = {row.item: Mark(truth=row.label, content=row.content) for row in self.rows}
        return Side(name=self.name, marks=marks, learned=self.learned)


def compare_binary(first: Answers, second: Answers, *, unit: str, confidence: float = 0.95) -> PairedComparison:
    """Compare on the items that both answered, counted in ``unit`` ("patients"), each model at its own threshold.

    Raises:
        DataError: when an item stands twice, a label is not 0 or 1, or a probability not between them.
    """
    for model in (first, second):
        _check(model)
    matched = Matched.of(first.side(), second.side(), unit)
    pair = _Pair.of(first, second, matched.items)
    positives = int(pair.truth.sum())
    reason = matched.refusal(positives)
    if reason:
        return matched.comparison(positives=positives, confidence=confidence, reason=reason)
    different = pair.different()
    return matched.comparison(
        positives=positives,
        confidence=confidence,
        scores=pair.scores(confidence),
        agreement=pair.agreement(),
        different=different,
        different_of=len(different),
        groups=pair.by_group(),
    )


def cells(ours: np.ndarray, theirs: np.ndarray) -> tuple[int, int, int, int]:
    """Items that both have right, the first model alone, the second alone, and neither; ``ours`` and ``theirs`` are (n,) bool."""
    counts = np.bincount(2 * ~ours + ~theirs, minlength=4)
    return int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])


def _check(model: Answers) -> None:
    for row in model.rows:
        if row.label not in (0, 1) or not 0 <= row.probability <= 1:
            raise DataError(
                f"{model.name}: {row.item} has the label {row.label} and the probability {row.probability}; labels are 0 or 1 and "
                "probabilities lie between"
            )


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Of n items in common: names and groups, truth (n,), and of each model probabilities and what it calls, (2, n)."""

    items: tuple[str, ...]
    groups: np.ndarray
    truth: np.ndarray
    probability: np.ndarray
    called: np.ndarray

    @classmethod
    def of(cls, first: Answers, second: Answers, items: tuple[str, ...]) -> _Pair:
        rows = [{row.item: row for row in model.rows} for model in (first, second)]
        probability = np.array([[of[item].probability for item in items] for of in rows])
        return cls(
            items=items,
            groups=np.array([rows[0][item].group for item in items], dtype=object),
            truth=np.array([rows[0][item].label for item in items], dtype=int),
            probability=probability,
            called=probability >= np.array([[first.threshold], [second.threshold]]),
        )

    @property
    def right(self) -> np.ndarray:
        """(2, n) bool."""
        return np.asarray(self.called == (self.truth == 1))

    @property
    def identical(self) -> bool:
        """Whether every probability and every call is the same."""
        return bool((self.probability[0] == self.probability[1]).all() and (self.called[0] == self.called[1]).all())

    def scores(self, confidence: float) -> dict[str, PairedScore]:
        """Of the headline measures. Both classes are there."""
        differences = {
            name: Interval(0.0, 0.0, 0.0, 0.0, confidence, IDENTICAL)
            if self.identical
            else proportion_difference(*cells(*self.right[:, self.truth == label]), confidence)
            for name, label in (("sensitivity", 1), ("specificity", 0))
        }
        both = mean_of_differences(differences["sensitivity"], differences["specificity"])
        if self.identical:
            both = differences["sensitivity"]
        differences["balanced_accuracy"] = closed(both.value, max(both.low, -1.0), min(both.high, 1.0), confidence, both.method)
        scores = {name: PairedScore.of(*self._values(name), difference) for name, difference in differences.items()}
        return {"auroc": self._auroc(confidence)} | scores

    def _auroc(self, confidence: float) -> PairedScore:
        values = self._values("auroc")
        if min(self.truth.sum(), (1 - self.truth).sum()) < MIN_OF_CLASS:
            return PairedScore.without_interval(*values, FEW)
        return PairedScore.of(*values, area_difference(self.truth, self.probability[0], self.probability[1], confidence))

    def _values(self, name: str) -> tuple[float, float]:
        """Of both models."""
        found = {
            "sensitivity": self.right[:, self.truth == 1].mean(axis=1),
            "specificity": self.right[:, self.truth == 0].mean(axis=1),
        }
        found["balanced_accuracy"] = (found["sensitivity"] + found["specificity"]) / 2
        if name == "auroc":
            first, second = (placements(self.truth, row)[0].mean() for row in self.probability)
        else:
            first, second = found[name]
        return float(first), float(second)

    def agreement(self) -> Agreement:
        """Of calls with the truth."""
        both_right, only_first, only_second, both_wrong = cells(*self.right)
        discordant = only_first + only_second
        return Agreement(
            both_right=both_right,
            only_first=only_first,
            only_second=only_second,
            both_wrong=both_wrong,
            p_value=float(binomtest(only_first, discordant).pvalue) if discordant else 1.0,
        )

    def different(self) -> list[DifferentItem]:
        """Items on which one model alone is right, by how far apart their probabilities are."""
        ours, theirs = self.right
        apart = np.abs(self.probability[0] - self.probability[1])
        chosen = sorted(np.flatnonzero(ours != theirs), key=lambda index: (-apart[index], self.items[index]))
        return [
            DifferentItem(
                item=self.items[index],
                group=self.groups[index],
                label=int(self.truth[index]),
                first=float(self.probability[0, index]),
                second=float(self.probability[1, index]),
                first_right=bool(ours[index]),
            )
            for index in chosen
        ]

    def by_group(self) -> list[GroupRow]:
        """One row a group, largest first; none where items have no groups."""
        names = sorted(set(self.groups) - {""})
        rows = [self._group(name, self.groups == name) for name in names]
        return sorted(rows, key=lambda row: (-row.n, row.name))

    def _group(self, name: str, here: np.ndarray) -> GroupRow:
        truth, right = self.truth[here], self.right[:, here]
        measures: dict[str, Callable[[int], float | None]] = {
            "auroc": lambda k: float(placements(truth, self.probability[k, here])[0].mean()) if 0 < truth.mean() < 1 else None,
            "sensitivity": lambda k: float(right[k, truth == 1].mean()) if truth.any() else None,
            "specificity": lambda k: float(right[k, truth == 0].mean()) if not truth.all() else None,
        }
        scores = {measure: PairedScore.without_interval(of(0), of(1), OF_GROUPS) for measure, of in measures.items()}
        return GroupRow(name=name, n=len(truth), positives=int(truth.sum()), scores=scores)
