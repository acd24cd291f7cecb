"""Whether probabilities mean what they say, and how to make them: logistic recalibration (Cox 1958), Platt's scaling (Platt 1999)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import chi2

from pathology.contracts.intervals import PROFILE, Interval, closed

NEAREST = 1e-9
"""How near to 0 and 1 a probability is taken to lie."""

STEEPEST = 100.0
"""A slope that is not found below this is none: the scores separate the classes."""

NEWTON_STEPS = 20
MOST_LEVERAGE = 0.99


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Logits (n,) of probabilities (n,), finite at 0 and 1."""
    return np.asarray(logit(np.clip(probability, NEAREST, 1 - NEAREST)))


def calibration_intercept(truth: np.ndarray, probability: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """Of the constant that makes the mean of ``probability`` (n,) the fraction of positives in ``truth`` (n,) when it is added to the
    logits: 0 where the probabilities are right on average, above 0 where they are too low (calibration in the large).

    None where the model was so sure, and wrong, that no constant is too large.

    Raises:
        ValueError: when a class is absent.
    """
    _both(truth)
    logits = log_odds(probability)
    value = fitted_intercept(truth, logits)
    spread = _spread(truth, logits + value, np.ones((len(truth), 1)))
    bounds = _where_likely(lambda intercept: _likelihood(truth, logits + intercept), value, confidence, spread)
    return None if bounds is None else closed(value, *bounds, confidence, PROFILE)


def calibration_slope(truth: np.ndarray, probability: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """Of the factor of the logits of ``probability`` (n,) that fits ``truth`` (n,) best: 1 where they are as sure as they may be, above 1
    where they are not sure enough, below where they are too sure, 0 where they say nothing.

    None where the classes are apart, so that no slope is too steep, or where all probabilities are one.

    Raises:
        ValueError: when a class is absent.
    """
    _both(truth)
    logits = log_odds(probability)
    if np.ptp(logits) < NEAREST:
        return None

    def profile(slope: float) -> float:
        scaled = slope * logits
        return _likelihood(truth, scaled + fitted_intercept(truth, scaled))

    def derivative(slope: float) -> float:
        scaled = slope * logits
        return float(np.sum((truth - expit(scaled + fitted_intercept(truth, scaled))) * logits))

    low, high = -1.0, 2.0
    while derivative(high) > 0 or derivative(low) < 0:
        low, high = (2 * low, high) if derivative(low) < 0 else (low, 2 * high)
        if max(-low, high) > STEEPEST:
            return None
    value = float(brentq(derivative, low, high, xtol=1e-10))
    fitted = value * logits + fitted_intercept(truth, value * logits)
    spread = _spread(truth, fitted, np.stack([np.ones(len(truth)), logits], axis=1))
    bounds = _where_likely(profile, value, confidence, spread)
    return None if bounds is None else closed(value, *bounds, confidence, PROFILE)


def platt(truth: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the probabilities of class 1 that ``logits`` (n,) stand for, by maximum likelihood with Platt's targets,
    (n₊ + 1) / (n₊ + 2) for positives and 1 / (n₋ + 2) for negatives, which keep them finite where the classes are apart.

    Raises:
        ValueError: when a class is absent.
    """
    from sklearn.linear_model import LogisticRegression

    _both(truth)
    positives, negatives = int(truth.sum()), int((1 - truth).sum())
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    model = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-10)
    column = np.concatenate([logits, logits])[:, None]
    model.fit(column, np.repeat([1, 0], len(logits)), np.concatenate([target, 1 - target]))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _both(truth: np.ndarray) -> None:
    if not 0 < truth.sum() < len(truth):
        raise ValueError("calibration needs both classes")


def _likelihood(truth: np.ndarray, logits: np.ndarray) -> float:
    return float(-np.sum(np.logaddexp(0, np.where(truth == 1, -logits, logits))))


def fitted_intercept(truth: np.ndarray, logits: np.ndarray) -> float:
    """The constant with the greatest likelihood, by Newton's steps from the one that would do for equal logits, else by bisection."""

    def gradient(constant: float) -> tuple[float, float]:
        probability = expit(logits + constant)
        return float(np.sum(truth - probability)), float(np.sum(probability * (1 - probability)))

    constant = float(log_odds(truth.mean()) - logits.mean())
    for _ in range(NEWTON_STEPS):
        slope, curvature = gradient(constant)
        step = slope / max(curvature, 1e-12)
        if abs(step) > 2:
            break
        constant += step
        if abs(step) < 1e-10:
            return constant
    return float(brentq(lambda at: gradient(at)[0], -logits.max() - 40, -logits.min() + 40, xtol=1e-12))


def _spread(truth: np.ndarray, fitted: np.ndarray, design: np.ndarray) -> float:
    """How much more the last coefficient of ``design`` (n, k) varies than the logistic model has it, by White's (1982) variance with
    residuals over (1 − leverage)⁴ (Cribari-Neto 2004, HC4, at its largest exponent); not less than 1. Probabilities that are not off by
    slope and intercept alone make it large."""
    probability = expit(fitted)
    weight = probability * (1 - probability)
    bread = np.linalg.pinv((design * weight[:, None]).T @ design)
    leverage = np.minimum(weight * np.einsum("ij,jk,ik->i", design, bread, design), MOST_LEVERAGE)
    meat = (design * ((truth - probability) ** 2 / (1 - leverage) ** 4)[:, None]).T @ design
    if bread[-1, -1] <= 0:
        return float("inf")  # every probability is a certainty
    return max(float((bread @ meat @ bread)[-1, -1] / bread[-1, -1]), 1.0)


def _where_likely(
    likelihood: Callable[[float], float], value: float, confidence: float, spread: float
) -> tuple[float, float] | None:
    """Where twice the logarithm of the likelihood is not farther from its greatest than ``spread`` times χ² of one degree of freedom;
    None if for ever."""
    least = likelihood(value) - spread * float(chi2.ppf(confidence, 1)) / 2
    bounds = []
    for side in (-1, 1):
        reach = 0.5
        while likelihood(value + side * reach) > least:
            reach *= 2
            if reach > STEEPEST:
                return None
        bounds.append(float(brentq(lambda at: likelihood(at) - least, value, value + side * reach, xtol=1e-10)))
    return bounds[0], bounds[1]
