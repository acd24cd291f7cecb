"""Figures of nuclei: outlines round them in their class's colour, counts as they are."""

import base64
from xml.etree import ElementTree

import numpy as np
from pathology.nuclei.palette import class_colours


def test_outlines_go_round_their_nuclei_in_their_class_s_colour():
    from pathology.tasks.lizard.figures import hexadecimal, outlines

    labels = np.zeros((48, 48, 2), np.uint16)
    for number, kind, top, left, side in ((1, 1, 10, 10, 8), (2, 2, 30, 30, 8), (3, 1, 40, 2, 6)):
        labels[top : top + side, left : left + side] = number, kind
    drawn = outlines(labels, 3, np.array([3]))
    colours = [hexadecimal(colour) for colour in class_colours(3)]
    assert [(item.colour, item.dashed, item.path) for item in drawn] == [
        (colours[0], False, "M10 10h8v8h-8z"),
        (colours[0], True, "M2 40h6v6h-6z"),
        (colours[1], False, "M30 30h8v8h-8z"),
    ]


def test_counts_are_drawn_as_they_are():
    from pathology.tasks.lizard.figures import counts_figure

    true, predicted = np.array([3] * 4), np.array([2, 2, 2, 7])
    uri = counts_figure("a", true, predicted, 0.5)
    assert uri == counts_figure("a", true, predicted, 0.5)
    root = ElementTree.fromstring(base64.b64decode(uri.partition(",")[2]))
    (axes,) = (group for group in root.iter("{http://www.w3.org/2000/svg}g") if group.get("id", "").startswith("axes_"))
    dots = sum(len(dots.findall(".//{*}use")) for dots in axes if dots.get("id", "").startswith("PathCollection"))
    assert dots == 2  # patches with the same counts share one
    titles = [base64.b64decode(counts_figure("b", true, true, r2).partition(",")[2]).decode() for r2 in (-2.0, None)]
    assert "b, R² -2.00" in titles[0] and "R²" not in titles[1]
