"""A part of the patches set apart by groups, such as patients: no group is on two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def hold_out_groups(labels: Mapping[str, Sequence[int]], fraction: float, seed: Sequence[int]) -> set[str]:
    """Groups that hold about ``fraction`` of the patches of either class, chosen by ``seed``; whole groups, so as near as they allow.

    ``labels`` are the classes, 0 and 1, of each group's patches. In an order that the seed decides, large and small ones mixed, each
    group is taken that brings the classes' fractions nearer to what is wanted, so that the last ones taken fill what is left. The
    same groups in any order and the same seed give the same choice.
    """
    names = sorted(labels)
    counts = {name: np.bincount(np.asarray(labels[name]), minlength=2) for name in names}
    total = np.maximum(sum(counts.values(), np.zeros(2, dtype=int)), 1)
    wanted = np.maximum(total * fraction, 1)
    shuffled = [names[index] for index in np.random.default_rng(list(seed)).permutation(len(names))]
    held, chosen = np.zeros(2, dtype=int), set()

    def far(count: np.ndarray) -> float:
        return float((((count - wanted) / total) ** 2).sum())

    for name in shuffled:
        if far(held + counts[name]) < far(held):
            held = held + counts[name]
            chosen.add(name)
    return chosen
