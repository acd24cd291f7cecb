"""Curves of predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pathology.contracts.binary import RocCurve
from pathology.contracts.comparison.binary import Answers


def roc_curve(answers: Answers, items: Sequence[str]) -> RocCurve:
    """The ROC curve on ``items``, of which both classes are there: a point for each probability that occurs, from (0, 0) on."""
    rows = {row.item: row for row in answers.rows}
    truth = np.array([rows[item].label for item in items])
    probability = np.array([rows[item].probability for item in items])
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    found, false = np.cumsum(truth[order])[last], np.cumsum(1 - truth[order])[last]
    return RocCurve(
        false_positive_rates=[0.0, *(false / false[-1]).tolist()], true_positive_rates=[0.0, *(found / found[-1]).tolist()]
    )
