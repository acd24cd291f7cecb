import numpy as np
import pytest
from pathology.contracts.intervals import OF_CLUSTERS, WILSON, WITHIN_CLASSES, cluster_bootstrap, proportion, stratified_bootstrap
from scipy.stats import norm

TRIALS = 100
"""Of that many intervals the fraction that holds the truth has a standard error of 2.2 points."""


def test_bootstrap_covers_the_known_auroc_of_two_normals():
    """Scores N(1, 1) against N(0, 1) have AUROC Φ(1/√2). Five standard errors below 0.95 is 0.84; percentile intervals of small
    samples are a little narrow, and more than that they must not be."""
    true = norm.cdf(1 / np.sqrt(2))
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1], [60, 25])
    held = 0
    for trial in range(TRIALS):
        score = generator.normal(truth, 1.0)
        interval = stratified_bootstrap(fraction_of_pairs, truth, score, resamples=200, seed=trial)
        held += interval.low <= true <= interval.high
    assert 0.84 <= held / TRIALS <= 1


def fraction_of_pairs(truth, score):
    """AUROC: how often one of class 1 scores more than one of class 0, none of them alike."""
    ranks = np.empty(len(score))
    ranks[np.argsort(score)] = np.arange(1, len(score) + 1)
    positive = truth.sum()
    return (ranks[truth == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(score) - positive))


def test_bootstrap_is_the_same_for_the_same_seed():
    from sklearn.metrics import roc_auc_score

    truth, score = np.array([0, 0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])
    first = stratified_bootstrap(roc_auc_score, truth, score, resamples=200, seed=3)
    assert first == stratified_bootstrap(roc_auc_score, truth, score, resamples=200, seed=3)
    assert first.low <= first.value <= first.high


def test_one_class_has_no_interval():
    from sklearn.metrics import roc_auc_score

    with pytest.raises(ValueError, match="each class"):
        stratified_bootstrap(roc_auc_score, np.ones(4), np.arange(4.0))


def test_wilson_against_a_worked_case():
    """8 of 10: centre (0.8 + 1.96²/20)/(1 + 1.96²/10), the score interval of Wilson 1927 is 0.490 to 0.943."""
    interval = proportion(8, 10)
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.490, 0.943)


def ratio(sums):
    """Σa / Σb, NaN where b is 0."""
    return np.where(sums[:, 1:] > 0, sums[:, :1] / np.where(sums[:, 1:] > 0, sums[:, 1:], 1), np.nan)


def test_clusters_are_drawn_whole():
    """By a loop over the same draws, in which each cluster is repeated as often as it was drawn."""
    sums = np.random.default_rng(1).integers(1, 20, (7, 2)).astype(float)
    (interval,) = cluster_bootstrap(ratio, sums, resamples=150, confidence=0.9, seed=4)
    ratios = []
    for times in np.random.default_rng(4).multinomial(7, np.full(7, 1 / 7), size=150):
        members = [cluster for cluster, often in enumerate(times) for _ in range(often)]
        assert len(members) == 7
        ratios.append(sum(sums[member, 0] for member in members) / sum(sums[member, 1] for member in members))
    assert interval.value == pytest.approx(sums[:, 0].sum() / sums[:, 1].sum(), abs=1e-12)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(ratios, [0.05, 0.95]), abs=1e-12)
    assert interval.std == pytest.approx(np.std(ratios, ddof=1), abs=1e-12)
    assert interval.confidence == 0.9


def test_clusters_cover_where_units_alone_would_not():
    """30 clusters of 20 units that share an effect: the mean is held about 19 times in 20, by units alone far less often.

    The fractions of 60 trials have standard errors of 3 and 6 points at most, and the bounds lie four of them away."""
    generator = np.random.default_rng(0)
    held = {"clusters": 0, "units": 0}
    for trial in range(60):
        values = generator.normal(0, 1, (30, 1)) + generator.normal(0, 0.5, (30, 20))
        whole = np.stack([values.sum(axis=1), np.full(30, 20.0)], axis=1)
        alone = np.stack([values.ravel(), np.ones(600)], axis=1)
        for name, sums in (("clusters", whole), ("units", alone)):
            (interval,) = cluster_bootstrap(ratio, sums, resamples=200, seed=trial)
            held[name] += interval.low <= 0 <= interval.high
    assert 50 <= held["clusters"] <= 60
    assert held["units"] < 35


def test_draws_without_a_value_are_left_out():
    """Only one of three clusters has what is below: 8 of 27 draws lack it, all others give 4/2."""
    sums = np.array([[4.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    (interval,) = cluster_bootstrap(ratio, sums, resamples=100)
    assert (interval.value, interval.low, interval.high, interval.std) == (2.0, 2.0, 2.0, 0.0)
    assert cluster_bootstrap(ratio, np.zeros((3, 2)), resamples=100) == [None]
    with pytest.raises(ValueError, match=r"only \d of 2 draws"):
        for seed in range(50):
            cluster_bootstrap(ratio, sums, resamples=2, seed=seed)


def test_one_cluster_has_no_interval():
    with pytest.raises(ValueError, match="two clusters"):
        cluster_bootstrap(ratio, np.ones((1, 2)))


def test_an_interval_says_by_which_method_it_is():
    generator = np.random.default_rng(0)
    (of_clusters,) = cluster_bootstrap(lambda sums: sums[:, :1], generator.normal(size=(9, 1)), resamples=100)
    within = stratified_bootstrap(lambda truth, score: float(score.mean()), np.array([0, 1] * 9), np.arange(18.0), resamples=100)
    assert [each.method for each in (proportion(3, 9), within, of_clusters)] == [WILSON, WITHIN_CLASSES, OF_CLUSTERS]
