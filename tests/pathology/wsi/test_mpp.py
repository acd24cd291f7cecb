"""Which scale counts, and when a slide has none that will do."""

import pytest
from pathology.contracts.errors import DataError
from pathology.wsi.mpp import Scale, choose_scale, isotropic

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


def test_placeholders_and_unequal_axes_are_no_scale():
    assert isotropic(0.25, 0.252) == pytest.approx(0.251)
    assert isotropic(352.8, 352.8) is None
    assert isotropic(0.25, 0.5) is None
    assert isotropic(0.0, 0.0) is None
