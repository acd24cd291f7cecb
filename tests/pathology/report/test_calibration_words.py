"""What a reader is told of slope and intercept: by where the interval lies, and why there is none."""

import pytest
from pathology.contracts.evaluation import Bounds


def bounds(low, high):
    return Bounds(value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("slope", "varied", "words"),
    [
        (bounds(0.8, 1.4), True, "As sure as they may be, within what this test can tell: the interval holds 1."),
        (bounds(1.0, 1.4), True, "As sure as they may be"),
        (bounds(1.1, 2.6), True, "Not sure enough"),
        (bounds(0.3, 0.9), True, "Too sure"),
        (bounds(-0.9, -0.1), True, "The wrong way round"),
        (bounds(-0.2, 0.4), True, "Too sure"),
        (None, True, "No slope: the probabilities set the classes of this test apart"),
        (None, False, "No slope: all patients have the same probability."),
    ],
)
def test_of_a_slope(slope, varied, words):
    from pathology.report.calibration import slope_words

    assert slope_words(slope, "patients", varied).startswith(words)


@pytest.mark.parametrize(
    ("intercept", "words"),
    [
        (bounds(-0.4, 0.7), "Right on average, within what this test can tell: the interval holds 0."),
        (bounds(0.1, 0.7), "Too low on average: above 0, more patients are positive"),
        (bounds(-0.7, -0.1), "Too high on average: below 0, fewer patients are positive"),
        (None, "No intercept: some probabilities were so sure, and wrong"),
    ],
)
def test_of_an_intercept(intercept, words):
    from pathology.report.calibration import intercept_words

    assert intercept_words(intercept, "patients").startswith(words)


def test_what_has_no_interval_has_a_row_all_the_same():
    from pathology.report.calibration import calibration_rows

    rows = calibration_rows({"brier": bounds(0.05, 0.1)}, "patches", True)
    assert [(row.title, row.bounds is None) for row in rows] == [("Slope", True), ("Intercept", True), ("Brier score", False)]
