"""Thresholds that training chooses: by hand, what order statistics promise, and what they did on a test."""

import numpy as np
import pytest
from pathology.contracts.intervals import proportion
from pathology.contracts.operating_points import OperatingSettings
from pathology.metrics.judged_points import at_prevalence, judge, read_off
from pathology.metrics.operating_points import choose, deciding, promising_rank
from scipy.stats import binom

NEGATIVE = np.linspace(0.01, 0.6, 80)


def of_positives(positive, **settings):
    """The points by name, for these positive scores among 80 negatives."""
    truth = np.repeat([0, 1], [len(NEGATIVE), len(positive)])
    points = choose(truth, np.concatenate([NEGATIVE, positive]), OperatingSettings(**settings))
    return {point.name: point for point in points}


@pytest.mark.parametrize(("sensitivity", "confidence", "needed"), [(0.95, 0.95, 59), (0.90, 0.95, 29), (0.95, 0.90, 45)])
def test_as_many_positives_are_needed_as_order_statistics_say(sensitivity, confidence, needed):
    """All of n positives above the threshold happens with sensitivityⁿ where it is no better than that."""
    assert promising_rank(needed - 1, sensitivity, confidence) is None
    rank = promising_rank(needed, sensitivity, confidence)
    assert rank is not None and 1 <= rank < 2


def test_a_whole_rank_has_the_binomials_confidence():
    """The second lowest of 93 promises 0.95 with the chance that at least two of 93 miss at 5 % each: 0.9503."""
    assert binom.sf(1, 93, 0.05) > 0.95 > binom.sf(1, 92, 0.05)
    assert promising_rank(93, 0.95, 0.95) == pytest.approx(2.0, abs=0.05) and promising_rank(93, 0.95, 0.95) >= 2
    assert promising_rank(92, 0.95, 0.95) < 2


def test_enough_positives_promise_what_was_asked_for():
    positive = np.linspace(0.3, 0.9, 100)
    points = of_positives(positive)
    assert points["nominal"].threshold == positive[5]  # 95 of 100 are found
    promised = points["promised"]
    assert positive[1] < promised.threshold < positive[2]
    assert [(each.sensitivity, each.confidence) for each in promised.promises] == [(0.95, 0.95)]
    (of_nominal,) = points["nominal"].promises
    assert of_nominal.confidence == pytest.approx(binom.sf(5, 100, 0.05))
    assert points["youden"].sensitivity is None and points["youden"].promises == []


def test_few_positives_say_what_they_can_promise():
    """45, as TCGA's training set has: 0.936 with 95 %, or 0.95 with 90 %."""
    promised = of_positives(np.linspace(0.2, 0.9, 45))["promised"]
    assert promised.threshold == 0.2 and promised.positives == 45
    assert [(round(each.sensitivity, 3), round(each.confidence, 2)) for each in promised.promises] == [
        (0.936, 0.95),
        (0.95, 0.90),
    ]


def test_the_point_that_decides_is_a_setting():
    truth, score = np.repeat([0, 1], [80, 20]), np.concatenate([NEGATIVE, np.linspace(0.3, 0.9, 20)])
    for name in ("youden", "nominal", "promised"):
        settings = OperatingSettings(decide_by=name)
        points = choose(truth, score, settings)
        threshold = deciding(points, settings)
        rows = judge(points, threshold, truth, score, (0.15,), 0.95)
        assert [row.point.name for row in rows if row.decides] == [name]
    with pytest.raises(ValueError, match="both classes"):
        choose(np.ones(4), np.arange(4.0), OperatingSettings())


def test_a_test_is_judged_by_hand():
    """At 15 % positives, sensitivity 9/10 and specificity 60/80 spare 85 · 0.75 + 15 · 0.1 = 65.25 of 100."""
    truth = np.repeat([0, 1], [80, 10])
    score = np.concatenate([np.repeat([0.1, 0.4], [60, 20]), np.repeat([0.2, 0.8], [1, 9])])
    points = of_positives(np.linspace(0.3, 0.9, 100))
    (row,) = judge([points["promised"]], 0.5, truth, score, (0.15,), 0.95)
    assert (row.missed, row.false_alarms, row.decides) == (1, 20, False)
    assert (row.sensitivity.value, row.specificity.value) == (0.9, 0.75)
    (common,) = row.at_prevalence
    assert common.spared.value == pytest.approx(65.25)
    assert common.positive_predictive_value.value == pytest.approx(0.15 * 0.9 / (0.15 * 0.9 + 0.85 * 0.25))
    assert common.negative_predictive_value.value == pytest.approx(0.85 * 0.75 / (0.85 * 0.75 + 0.15 * 0.1))
    for bounds in (common.spared, common.positive_predictive_value, common.negative_predictive_value):
        assert bounds.low < bounds.value < bounds.high


def test_nobody_missed_is_not_certain_and_nobody_called_has_no_value():
    found_all = at_prevalence(0.15, proportion(12, 12), proportion(40, 48))
    assert found_all.negative_predictive_value.value == 1.0 and 0.9 < found_all.negative_predictive_value.low < 1
    nobody = at_prevalence(0.15, proportion(0, 12), proportion(48, 48)).positive_predictive_value
    assert (nobody.value, nobody.low, nobody.high) == (0, 0, 1)
    everybody = at_prevalence(0.15, proportion(12, 12), proportion(0, 48))
    assert everybody.positive_predictive_value.value == pytest.approx(0.15)
    assert (everybody.negative_predictive_value.low, everybody.negative_predictive_value.high) == (0, 1)


def test_what_is_read_off_the_test_itself():
    truth, score = np.array([0, 0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.5, 0.7, 0.6, 0.9])
    assert read_off(truth, score, 0.95).model_dump() == {"sensitivity": 1.0, "specificity": 0.75}
    assert read_off(truth, score, 0.5).model_dump() == {"sensitivity": 0.5, "specificity": 1.0}
