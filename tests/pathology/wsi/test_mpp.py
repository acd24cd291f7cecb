"""Which scale counts, and when a slide has none that will do."""

import math

import pytest
from pathology.contracts.errors import DataError
from pathology.wsi.mpp import Scale, choose_scale, file_scale, scale_remarks

FROM_FILE = Scale(0.499, "vendor")


@pytest.mark.parametrize(
    ("file_scale", "cohort", "default", "expected"),
    [
        (FROM_FILE, 0.25, 0.4, Scale(0.25, "cohort")),
        (FROM_FILE, None, 0.4, FROM_FILE),
        (None, None, 0.4, Scale(0.4, "default")),
    ],
)
def test_the_cohorts_column_corrects_and_the_default_comes_last(file_scale, cohort, default, expected):
    assert choose_scale(file_scale, cohort, default, 0.5) == expected


def test_without_any_scale_the_reason_says_what_to_add():
    with pytest.raises(DataError, match="column 'mpp'.*default-mpp"):
        choose_scale(None, None, None, 0.5)


def test_a_coarser_slide_is_refused_beyond_five_percent():
    assert choose_scale(Scale(0.52, "vendor"), None, None, 0.5).mpp == 0.52
    with pytest.raises(DataError, match=r"coarser than asked: 0.53 µm/px \(vendor\) for tiles at 0.5"):
        choose_scale(Scale(0.53, "vendor"), None, None, 0.5)


def test_placeholders_say_nothing_and_the_next_field_counts():
    assert file_scale([("vendor", 0.25, 0.252)]) == Scale(0.251, "vendor")
    assert file_scale([("vendor", 352.8, 352.8), ("tiff", 0.5, 0.5)]) == Scale(0.5, "tiff")
    assert file_scale([("vendor", 0.0, 0.0)]) is None and file_scale([("vendor", math.nan, math.nan)]) is None


@pytest.mark.parametrize("x, y", [(0.25, 0.5), (0.25, 0.2557), (0.5, 353.0), (0.25, 0.0)])
def test_unequal_axes_are_refused_with_both_figures_and_never_read_at_the_default(x, y):
    given = file_scale([("vendor", x, y), ("tiff", 0.25, 0.25)])
    with pytest.raises(DataError, match=f"{x:g} µm/px in x and {y:g} in y.*column 'mpp'"):
        choose_scale(given, None, 0.5, 0.5)
    assert choose_scale(given, 0.25, 0.5, 0.5) == Scale(0.25, "cohort")


@pytest.mark.parametrize("mpp", [0.05, 0.025, 0.0499, 0.0001])
def test_a_scale_that_no_scanner_has_is_refused_and_never_read_at_the_default(mpp):
    with pytest.raises(DataError, match=f"says {mpp:g} µm/px .vendor., and no scanner is finer than 0.08.*column 'mpp'"):
        choose_scale(file_scale([("vendor", mpp, mpp)]), None, 0.5, 0.5)
    assert choose_scale(file_scale([("vendor", mpp, mpp)]), 0.5, None, 0.5) == Scale(0.5, "cohort")


@pytest.mark.parametrize("mpp, objective", [(0.098, 20), (0.11, 10), (0.5, 100), (0.09, 20)])
def test_a_scale_far_from_what_the_objective_gives_is_refused(mpp, objective):
    with pytest.raises(DataError, match=f"do not go together: {mpp:g} µm/px .tiff. and {objective}×.*column 'mpp'"):
        choose_scale(Scale(mpp, "tiff"), None, None, 0.5, objective=objective)
    assert choose_scale(Scale(mpp, "tiff"), mpp, None, 0.5, objective=objective).source == "cohort"


def test_a_scale_that_the_objective_makes_doubtful_is_said():
    assert scale_remarks(Scale(0.2325, "vendor"), 20) == (), "small camera px are ordinary"
    assert scale_remarks(Scale(0.25, "vendor"), None) == ()
    (line,) = scale_remarks(Scale(0.098, "tiff"), 40)
    assert "0.098 µm/px (tiff) and 40×, which gives about 0.25" in line


def test_the_objective_is_a_scale_when_asked_for_and_before_the_default():
    assert choose_scale(None, None, 0.4, 0.5, objective=20, by_objective=True) == Scale(0.5, "objective")
    assert choose_scale(None, None, 0.4, 0.5, objective=20) == Scale(0.4, "default")
    with pytest.raises(DataError, match="only an objective of 20×.*objective-scale"):
        choose_scale(None, None, None, 0.5, objective=20)
