"""Instance and label maps to score."""

import numpy as np

CLASSES = 3


def strip(*runs, width=40):
    """(1, width) instance map of ``(id, first, last + 1)`` runs: areas and overlaps can be read off."""
    row = np.zeros((1, width), np.uint16)
    for number, start, stop in runs:
        row[0, start:stop] = number
    return row


def labelled(instances, kinds):
    """Label map (H, W, 2) from a map and the class of each id."""
    classes = np.zeros_like(instances)
    for number, kind in kinds.items():
        classes[instances == number] = kind
    return np.stack([instances, classes], axis=-1)


def random_pair(generator, height=44, width=37):
    """Two label maps that partly agree: discs that paint over each other (and so may fall in pieces), moved, dropped, retyped."""
    rows, columns = np.mgrid[:height, :width]
    true, predicted = np.zeros((height, width, 2), np.uint16), np.zeros((height, width, 2), np.uint16)
    ids = generator.choice(np.arange(1, 65536), 40, replace=False)
    ids[0] = 65535
    for index in range(generator.integers(0, 15)):
        y, x, radius = generator.uniform(0, height), generator.uniform(0, width), generator.uniform(1, 7)
        kind = generator.integers(1, CLASSES + 1)
        if generator.random() > 0.15:
            true[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = ids[index], kind
        if generator.random() > 0.15:
            y, x, radius = y + generator.normal(0, 0.8), x + generator.normal(0, 0.8), radius * generator.uniform(0.8, 1.2)
            kind = kind if generator.random() > 0.25 else generator.integers(1, CLASSES + 1)
            predicted[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = ids[39 - index], kind
    return true, predicted
