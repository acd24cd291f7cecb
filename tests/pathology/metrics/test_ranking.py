"""Ranking metrics against scikit-learn, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathology.metrics.ranking import (
    auroc,
    average_precision,
    average_precisions,
    precision_recall_curve,
    roc_curve,
    youden_threshold,
)


@st.composite
def scored(draw):
    """Labels of both classes with scores that often tie."""
    labels = draw(st.lists(st.integers(0, 1), min_size=2, max_size=40).filter(lambda values: 0 < sum(values) < len(values)))
    scores = draw(st.lists(st.integers(0, 8), min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(scores) / 8


@given(scored())
@settings(max_examples=150)
def test_scikit_learn_agrees(case):
    from sklearn import metrics

    truth, score = case
    assert auroc(truth, score) == pytest.approx(metrics.roc_auc_score(truth, score))
    assert average_precision(truth, score) == pytest.approx(metrics.average_precision_score(truth, score))
    false_rates, true_rates, _ = metrics.roc_curve(truth, score, drop_intermediate=False)
    assert np.allclose(roc_curve(truth, score), (false_rates, true_rates))
    precisions, recalls, _ = metrics.precision_recall_curve(truth, score)
    assert np.allclose(precision_recall_curve(truth, score), (precisions, recalls))


@given(scored())
@settings(max_examples=150)
def test_no_threshold_beats_youdens(case):
    truth, score = case

    def gain(threshold):
        called = score >= threshold
        return called[truth == 1].mean() - called[truth == 0].mean()

    best = max(gain(threshold) for threshold in score)
    chosen = youden_threshold(truth, score)
    assert gain(chosen) == pytest.approx(best) if best > 0 else chosen == truth.mean()


def test_the_threshold_stands_between_two_scores():
    assert youden_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)


def test_one_class_has_no_auroc():
    with pytest.raises(ValueError, match="both classes"):
        auroc(np.ones(3), np.arange(3))


def test_average_precision_of_weights_is_that_of_the_repeated_units():
    generator = np.random.default_rng(5)
    truth, score = generator.integers(0, 2, 40), np.round(generator.normal(size=40), 1)
    weights = generator.integers(0, 3, (6, 40))
    expected = [average_precision(np.repeat(truth, row), np.repeat(score, row)) for row in weights]
    assert average_precisions(truth, score, weights) == pytest.approx(expected, abs=1e-12)
