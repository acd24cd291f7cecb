"""Operating points in plain words: what each was chosen for, what it promises, what it means at other fractions of positives."""

import numpy as np
import pytest
from pathology.contracts.operating_points import OperatingSettings
from pathology.metrics.judged_points import judge
from pathology.metrics.operating_points import choose


def points(positives, negatives=60, **settings):
    """Of scores that overlap a little; every other thousandth, so that no two are equal."""
    truth = np.repeat([1, 0], [positives, negatives])
    probability = np.concatenate([np.linspace(0.3, 0.9, positives), np.linspace(0.05, 0.5, negatives)])
    return truth, probability, choose(truth, probability, OperatingSettings(**settings))


def words(positives, **settings):
    from pathology.report.points import chosen_for

    return {point.name: chosen_for(point, "training") for point in points(positives, **settings)[2]}


def test_enough_positives_have_the_promise_that_was_asked_for():
    found = words(60)
    assert found["youden"] == "most of sensitivity + specificity, chosen with 60 training positives"
    assert found["promised"] == "finds at least 95% of all positives with confidence 95%, by the scores of 60 training positives"
    # The fourth lowest of 60: that at most 3 of 60 lie below the 5 % quantile, by the binomial, is 64.7 %.
    assert found["nominal"] == (
        "set to find 95% of the 60 training positives; of all positives it promises 95% with 35.3% confidence"
    )


def test_too_few_positives_have_two_lesser_promises():
    """0.05 ** (1 / 45) and 1 - 0.95 ** 45."""
    assert words(45)["promised"] == (
        "with 45 training positives no threshold promises 95% with 95% confidence: the lowest score promises 93.6% with 95%, or 95% "
        "with 90.1%"
    )
    assert "promises 88.3% with 95%, or 95% with 70.8%" in words(24)["promised"]
    assert "no threshold promises 90% with 80% confidence" in words(10, sensitivity=0.9, confidence=0.8)["promised"]


@pytest.mark.parametrize(("decides", "titles"), [("youden", "Youden's"), ("nominal", "Nominal")])
def test_the_points_that_decide_are_named(decides, titles):
    from pathology.report.points import deciding_titles

    truth, probability, chosen = points(60)
    threshold = next(point.threshold for point in chosen if point.name == decides)
    assert deciding_titles(judge(chosen, threshold, truth, probability, (0.1,), 0.95)) == titles
    assert deciding_titles([]) == ""


def test_two_points_at_one_threshold_decide_together():
    """Of 10 positives the lowest score is both what finds 95 % of them and the most that can be promised."""
    from pathology.report.points import deciding_titles

    truth, probability, chosen = points(10)
    lowest = probability[truth == 1].min()
    assert "Nominal and Promised" in deciding_titles(judge(chosen, float(lowest), truth, probability, (0.1,), 0.95))


@pytest.mark.parametrize(("fraction", "text"), [(0.95, "95%"), (0.9356, "93.6%"), (0.05, "5%"), (None, "–"), (0.0004, "0%")])
def test_fractions_in_percent(fraction, text):
    from pathology.report.page import share

    assert share(fraction) == text
