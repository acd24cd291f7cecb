"""Accuracy by agreement: counted by hand, every patch once, Wilson's interval."""

import numpy as np
import pytest
from pathology.tasks.mhist.agreement import by_agreement
from scipy.stats import binomtest


def test_counts_by_hand():
    votes = np.array([0, 7, 7, 1, 5, 2, 2, 4, 3])
    truth = (votes >= 4).astype(int)
    called = np.array([0, 1, 0, 0, 1, 1, 0, 0, 0])
    rows = {row.agreement: row for row in by_agreement(truth, votes, called, 0.95)}
    assert {level: row.n for level, row in rows.items()} == {4: 2, 5: 3, 6: 1, 7: 3}
    assert [rows[7].accuracy.value, rows[5].accuracy.value, rows[4].accuracy.value] == pytest.approx([2 / 3, 2 / 3, 1 / 2])
    assert (rows[7].classes[0].n, rows[7].classes[1].n) == (1, 2)
    assert rows[7].classes[1].accuracy.value == 0.5
    assert rows[4].classes[1].accuracy.value == 0.0
    assert rows[6].classes[1].model_dump() == {"n": 0, "accuracy": None}
    wilson = binomtest(2, 3).proportion_ci(0.95, method="wilson")
    assert (rows[7].accuracy.low, rows[7].accuracy.high) == pytest.approx((wilson.low, wilson.high))


def test_every_patch_is_in_one_row_and_the_rows_make_the_accuracy():
    generator = np.random.default_rng(0)
    votes = generator.integers(0, 8, 500)
    truth = (votes >= 4).astype(int)
    called = generator.integers(0, 2, 500)
    rows = by_agreement(truth, votes, called, 0.9)
    assert [row.agreement for row in rows] == [4, 5, 6, 7]
    assert sum(row.n for row in rows) == 500
    assert sum(part.n for row in rows for part in row.classes) == 500
    assert sum(row.n * row.accuracy.value for row in rows) == pytest.approx((truth == called).sum())
