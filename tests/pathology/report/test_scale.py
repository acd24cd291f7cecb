"""Bars of a round length that fits, and none for a scale that cannot be."""

import pytest
from pathology.report.scale import WIDEST, scale_bar


@pytest.mark.parametrize(
    ("width", "mpp", "microns", "words"),
    [
        (224, 2.0, 100, "100 µm"),  # 448 µm, a third is 149
        (256, 0.5, 20, "20 µm"),  # 128, 42.7
        (256, 0.25, 20, "20 µm"),  # 64, 21.3
        (300, 1.0, 100, "100 µm"),  # exactly a third
        (2000, 8.0, 5000, "5 mm"),
        (10, 0.1, 0.2, "0.2 µm"),
    ],
)
def test_the_longest_round_length_that_fits(width, mpp, microns, words):
    bar = scale_bar(width, mpp)
    assert bar.microns == pytest.approx(microns) and bar.words == words
    assert bar.fraction == pytest.approx(microns / (width * mpp)) and bar.fraction <= WIDEST + 1e-12
    assert scale_bar(width, mpp, about=True).words == f"about {words}"


@pytest.mark.parametrize(("width", "mpp"), [(0, 1.0), (10, 0.0), (10, -1.0), (10, float("nan"))])
def test_no_bar_for_what_cannot_be(width, mpp):
    with pytest.raises(ValueError, match="no bar"):
        scale_bar(width, mpp)
