import numpy as np
import pytest
from pathology.contracts.intervals import proportion, stratified_bootstrap
from scipy.stats import norm
from sklearn.metrics import roc_auc_score


def test_bootstrap_covers_the_known_auroc_of_two_normals():
    """Scores N(1, 1) against N(0, 1) have AUROC Φ(1/√2); a 95 % interval should hold it about 19 times in 20."""
    true = norm.cdf(1 / np.sqrt(2))
    generator = np.random.default_rng(0)
    held = 0
    for trial in range(60):
        truth = np.repeat([0, 1], [60, 25])
        score = generator.normal(truth, 1.0)
        interval = stratified_bootstrap(roc_auc_score, truth, score, resamples=200, seed=trial)
        held += interval.low <= true <= interval.high
    assert 50 <= held <= 60


def test_bootstrap_is_the_same_for_the_same_seed():
    truth, score = np.array([0, 0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])
    first = stratified_bootstrap(roc_auc_score, truth, score, resamples=200, seed=3)
    assert first == stratified_bootstrap(roc_auc_score, truth, score, resamples=200, seed=3)
    assert first.low <= first.value <= first.high


def test_one_class_has_no_interval():
    with pytest.raises(ValueError, match="each class"):
        stratified_bootstrap(roc_auc_score, np.ones(4), np.arange(4.0))


def test_wilson_against_a_worked_case():
    """8 of 10: centre (0.8 + 1.96²/20)/(1 + 1.96²/10), the score interval of Wilson 1927 is 0.490 to 0.943."""
    interval = proportion(8, 10)
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.490, 0.943)
