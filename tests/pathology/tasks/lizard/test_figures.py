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

    classes, r2 = ("a", "b", "c", "d"), (0.5, None, -2.0, 1.0)
    true, predicted = np.array([[3, 0, 1, 2]] * 4), np.array([[2, 0, 1, 2]] * 3 + [[7, 0, 1, 2]])
    uri = counts_figure(classes, true, predicted, r2)
    assert uri == counts_figure(classes, true, predicted, r2)
    root = ElementTree.fromstring(base64.b64decode(uri.partition(",")[2]))
    dots = [
        sum(len(dots.findall(".//{*}use")) for dots in panel if dots.get("id", "").startswith("PathCollection"))
        for panel in root.iter("{http://www.w3.org/2000/svg}g")
        if panel.get("id", "").startswith("axes_")
    ]
    assert dots == [2, 1, 1, 1]  # patches with the same counts share one
    content = base64.b64decode(uri.partition(",")[2]).decode()
    assert "a, R² 0.50" in content and "c, R² -2.00" in content and "b, R²" not in content
