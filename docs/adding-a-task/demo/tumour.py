"""Patches to try the tumour pipeline on: the painted mucosa of :mod:`demo.patches` under another table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import cv2
import numpy as np
from pathology.contracts.storage import atomic_write
from pathology.contracts.tumour.patches import LABELS

from demo.patches import paint

PATCHES = 160
TRAIN = 0.7


def make_demo(folder: Path) -> None:
    """The data of ``make demo TASK=tumour``: ``labels.csv`` and a folder of PNGs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "split"])
    for number in range(PATCHES):
        generator = np.random.default_rng([number])
        name, label = f"patch-{number:04d}.png", number % 2
        pixels = paint(float(generator.normal(2.5 * (label - 0.5))), generator)
        done, content = cv2.imencode(".png", pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        assert done
        atomic_write(folder / "images" / name, content.tobytes(), flush=False)
        writer.writerow([name, LABELS[label], "train" if number < TRAIN * PATCHES else "test"])
    atomic_write(folder / "labels.csv", text.getvalue().encode())
