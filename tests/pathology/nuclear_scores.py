"""Patches of nuclei to score, and rows of predictions.csv."""

import numpy as np
from pathology.contracts.lizard.evaluate import NucleiScoreRow

CLASSES = ("round", "oval", "rare")
SETTINGS = {"resamples": 100, "confidence": 0.9, "seed": 3}


def row(patch, source, kind, tp=0, fp=0, fn=0, iou_sum=0.0, counts=(0, 0), **others):
    """A row with zeros where nothing is said."""
    names = ("pixels_both", "pixels_true", "pixels_predicted", "aji_intersection", "aji_union", "paired_6", "paired_12")
    rest = dict.fromkeys(names, 0) | others
    return NucleiScoreRow(
        patch=patch, source=source, class_name=kind, tp=tp, fp=fp, fn=fn, iou_sum=iou_sum, true_count=counts[0], predicted_count=counts[1], **rest
    )  # fmt: skip


def made_patch(generator, side=40, rare=True):
    """Truth and prediction that partly agree: discs that touch and overlap, moved, dropped, added and retyped."""
    rows, columns = np.mgrid[:side, :side]
    true, predicted = np.zeros((2, side, side, 2), np.uint16)
    for number in range(1, generator.integers(4, 16)):
        y, x = generator.uniform(0, side, 2)
        radius, kind = generator.uniform(2, 6), generator.integers(1, 4 if rare else 3)
        if generator.random() > 0.2:
            true[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number, kind
        if generator.random() > 0.2:
            kind = kind if generator.random() > 0.3 else generator.integers(1, 4 if rare else 3)
            y, x = y + generator.normal(0, 0.7), x + generator.normal(0, 0.7)
            predicted[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number, kind
    return true, predicted


def made_patches():
    """24 patches of 6 sources as (name, source, truth, prediction); two are empty on both sides, the rare class is in two sources."""
    generator = np.random.default_rng(11)
    patches = []
    for index in range(24):
        source = f"crag_{index % 6}"
        true, predicted = made_patch(generator, rare=index % 6 < 2)
        if index in (7, 15):
            true[:], predicted[:] = 0, 0
        patches.append((f"{source}-{index:04}", source, true, predicted))
    return patches
