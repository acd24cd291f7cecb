"""Colours differ, and come in the order of the classes."""

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.lizard.patches import MAX_CLASSES
from pathology.nuclei.palette import OKABE_ITO, class_colours


def test_all_colours_differ_visibly():
    colours = class_colours(MAX_CLASSES)
    assert len(colours) == MAX_CLASSES
    assert all(0 <= value <= 255 for colour in colours for value in colour)
    apart = [sum(abs(a - b) for a, b in zip(one, other, strict=True)) for i, one in enumerate(colours) for other in colours[:i]]
    assert min(apart) >= 24


def test_the_first_are_okabe_and_ito_and_more_classes_change_none():
    assert class_colours(6) == list(OKABE_ITO[:6])
    assert class_colours(20)[:6] == class_colours(6)
    assert class_colours(0) == []


@pytest.mark.parametrize("classes", [-1, MAX_CLASSES + 1])
def test_more_are_refused(classes):
    with pytest.raises(RequestError, match="colours for up to 32"):
        class_colours(classes)
