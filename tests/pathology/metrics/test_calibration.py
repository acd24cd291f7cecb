"""Recalibration against scikit-learn's logistic regression, its intervals, and where there is none; the decision curve by hand."""

import numpy as np
import pytest
from pathology.metrics.calibration import calibration_intercept, calibration_slope, fitted_intercept, log_odds, platt
from pathology.metrics.decision_curve import decision_curve
from scipy.special import expit


def drawn(count=400, slope=1.0, intercept=0.0, seed=0):
    """Labels that follow ``intercept`` + ``slope`` · logit of the probabilities that are given with them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1, 1.5, count)
    truth = (generator.random(count) < expit(intercept + slope * logits)).astype(int)
    return truth, expit(logits)


def test_the_slope_is_that_of_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    truth, probability = drawn(slope=0.6)
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14).fit(log_odds(probability)[:, None], truth)
    slope = calibration_slope(truth, probability)
    assert slope.value == pytest.approx(model.coef_[0, 0], abs=1e-9)
    assert fitted_intercept(truth, slope.value * log_odds(probability)) == pytest.approx(model.intercept_[0], abs=1e-9)
    assert slope.low < 0.6 < slope.high < 1


def test_the_intercept_is_what_the_mean_lacks():
    truth, probability = drawn(intercept=0.8)
    found = calibration_intercept(truth, probability)
    assert expit(log_odds(probability) + found.value).mean() == pytest.approx(truth.mean(), abs=1e-9)
    assert 0 < found.low < 0.8 < found.high


@pytest.mark.parametrize("sure", [0.5, 2.0])
def test_the_slope_tells_too_sure_from_not_sure_enough(sure):
    """The model says logit · sure: its slope is 1 / sure."""
    truth, probability = drawn()
    found = calibration_slope(truth, expit(sure * log_odds(probability)))
    assert found.low < 1 / sure < found.high
    assert found.low > 1 or found.high < 1


def test_probabilities_that_no_slope_mends_have_a_wider_interval():
    """A tenth of the labels is wrong where the model is surest; the likelihood alone would not see it."""
    truth, probability = drawn(2000)
    wrong = truth.copy()
    surest = np.argsort(probability)[:200]
    wrong[surest[::10]] = 1
    narrow, wide = (calibration_slope(labels, probability) for labels in (truth, wrong))
    assert wide.high - wide.low > narrow.high - narrow.low


def test_classes_that_are_apart_have_no_slope():
    truth, probability = np.repeat([0, 1], 10), np.linspace(0.1, 0.9, 20)
    assert calibration_slope(truth, probability) is None
    assert calibration_slope(1 - truth, probability) is None
    assert calibration_slope(truth, np.full(20, 0.5)) is None
    with pytest.raises(ValueError, match="both classes"):
        calibration_slope(np.ones(20, dtype=int), probability)


def test_certainties_are_finite():
    truth, probability = np.array([0, 0, 1, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    assert np.isfinite(log_odds(probability)).all()
    assert calibration_slope(truth, probability).value > 0
    sure_and_wrong = np.where(np.arange(40) < 20, 0.0, 1.0)
    assert calibration_intercept(np.roll(sure_and_wrong, 1).astype(int), sure_and_wrong) is None


def test_platts_targets_keep_separated_scores_finite():
    """Ten of either class: the targets are 11/12 and 1/12, and a slope that fits two points of ±1 is their logit."""
    slope, intercept = platt(np.repeat([0, 1], 10), np.repeat([-1.0, 1.0], 10))
    assert (slope, intercept) == (pytest.approx(np.log(11), abs=1e-5), pytest.approx(0, abs=1e-5))


def test_the_decision_curve_is_the_net_benefit():
    """Two of four positives and one of six negatives above one half: (2 − 1 · 1) / 10; everybody: (4 − 6) / 10."""
    truth = np.repeat([1, 0], [4, 6])
    probability = np.array([0.9, 0.8, 0.2, 0.1, 0.7, *[0.05] * 5])
    curve = {point.threshold: point for point in decision_curve(truth, probability, 0.95)}
    assert curve[0.5].model.value == pytest.approx(0.1) and curve[0.5].everybody == pytest.approx(-0.2)
    assert curve[0.5].model.low < 0.1 < curve[0.5].model.high
    assert curve[0.01].everybody == pytest.approx(0.4 - 0.6 / 99)
