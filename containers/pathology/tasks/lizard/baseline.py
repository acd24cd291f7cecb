"""What something simple reaches on the same test patches: haematoxylin over a threshold, divided by a watershed, counts by its area.

Haematoxylin is Ruifrok & Johnston's (2001), from scikit-image. Whatever has more of it than a threshold is nucleus; the threshold is the
one of best Dice over px of patches of the train side. A watershed from peaks of the distance to the background divides nuclei that
touch. Every nucleus has the class that is the commonest in training. Counts are a straight line through the stained area in the middle
of a patch, fitted for each class by least squares, never below 0, in whole nuclei.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.nuclei.counts import CENTRAL, central_counts, centre
from pathology.tasks.lizard.dataset import Nuclei
from pathology.tasks.lizard.rows import patch_rows

WORDS = (
    "Haematoxylin over a threshold, nuclei that touch divided by a watershed, all called by the class that is the commonest in training; "
    "counts of each class by the stained area"
)
MAX_FITTED = 500
"""Patches of the train side, taken evenly over them in the order of their names: a threshold and two numbers a class need no more."""
EDGES = np.linspace(0.0, 1.5, 3001)
"""Of haematoxylin, among which the threshold is chosen; stained tissue has up to some 0.25."""
SMALLEST, APART = 30, 5
"""px² of a nucleus, and px between the peaks of two: a small lymphocyte's radius at 0.5 µm/px."""


@dataclass(frozen=True)
class StainBaseline:
    """``threshold`` on haematoxylin, the class ``kind`` from 1, and for each class the ``slopes`` and ``offsets`` (K,) of its count."""

    threshold: float
    kind: int
    slopes: np.ndarray
    offsets: np.ndarray
    patches: int
    sources: int

    def labels(self, image: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) uint8 → its nuclei in CoNIC's layout (H, W, 2) uint16."""
        numbers = divided(haematoxylin(image) > self.threshold)
        return np.stack([numbers, np.where(numbers > 0, self.kind, 0)], axis=-1).astype(np.uint16)

    def counts(self, image: np.ndarray) -> np.ndarray:
        """Nuclei of each class (K,) int64 in the middle of a picture (H, W, 3) uint8."""
        return np.rint(np.maximum(self.slopes * _area(image, self.threshold) + self.offsets, 0)).astype(np.int64)


def haematoxylin(image: np.ndarray) -> np.ndarray:
    """How much of the dye, (H, W) float, out of (H, W, 3) uint8 RGB."""
    from skimage.color import rgb2hed

    return np.asarray(rgb2hed(image)[..., 0])


def _area(image: np.ndarray, threshold: float) -> int:
    """px of the middle that count as nucleus."""
    return int((centre(haematoxylin(image), CENTRAL) > threshold).sum())


def divided(mask: np.ndarray) -> np.ndarray:
    """Nuclei (H, W) int32 numbered from 1 of a ``mask`` (H, W) bool without its noise."""
    from skimage.feature import peak_local_max
    from skimage.segmentation import relabel_sequential, watershed

    mask = ndimage.binary_opening(mask)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1.0)
    peaks = peak_local_max(distance, min_distance=APART, labels=ndimage.label(mask)[0], exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    numbers = np.asarray(watershed(-distance, markers, mask=mask), np.int32)
    numbers[(np.bincount(numbers.ravel()) < SMALLEST)[numbers]] = 0
    return np.asarray(relabel_sequential(numbers)[0], np.int32)


def fit(train: Nuclei, classes: int) -> StainBaseline:
    """On up to :data:`MAX_FITTED` of the patches ``train``."""
    order = sorted(range(len(train)), key=lambda index: train.rows[index].name)
    chosen = [
        order[place] for place in np.unique(np.linspace(0, len(order) - 1, min(len(order), MAX_FITTED)).round().astype(int))
    ]
    stained = np.zeros((2, len(EDGES) - 1), np.int64)
    counts, nuclei = np.zeros((len(chosen), classes), np.int64), np.zeros(classes, np.int64)
    for row, index in enumerate(chosen):
        image, labels = train[index]
        values, inside = np.clip(haematoxylin(image), EDGES[0], EDGES[-1]), labels[..., 0] > 0
        for side, pixels in enumerate((values[~inside], values[inside])):
            stained[side] += np.histogram(pixels, EDGES)[0]
        counts[row] = central_counts(labels, classes)
        nuclei += central_counts(labels, classes, max(labels.shape))
    threshold = best_threshold(*stained)
    areas = np.array([_area(train.image(index), threshold) for index in chosen], float)
    slopes, offsets = lines(areas, counts)
    sources = len({train.rows[index].source for index in chosen})
    return StainBaseline(threshold, int(nuclei.argmax()) + 1, slopes, offsets, len(chosen), sources)


def best_threshold(outside: np.ndarray, inside: np.ndarray) -> float:
    """The lowest of :data:`EDGES` that is best by Dice, of px by bins (edges − 1,) without and with a nucleus."""
    found, called = (np.cumsum(values[::-1])[::-1] for values in (inside, inside + outside))
    return float(EDGES[:-1][(2 * found / (inside.sum() + called.clip(1))).argmax()])


def lines(areas: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and offsets (K,) of ``counts`` (n, K) over ``areas`` (n,) by least squares; flat where all areas are alike."""
    spread = areas - areas.mean()
    slopes = spread @ counts / (spread @ spread) if spread.any() else np.zeros(counts.shape[1])
    return slopes, counts.mean(axis=0) - slopes * areas.mean()


def outline(baseline: StainBaseline, test: Nuclei, classes: Sequence[str]) -> Iterable[NucleiScoreRow]:
    """What the baseline makes of the patches ``test``, as rows of predictions.csv."""
    for index, item in enumerate(test.rows):
        image, true = test[index]
        counts = baseline.counts(image)
        by_name = {**dict(zip(classes, counts.tolist(), strict=True)), ALL_CLASSES: int(counts.sum())}
        for row in patch_rows(item.name, item.source, true, baseline.labels(image), classes):
            yield row.model_copy(update={"predicted_count": by_name[row.class_name]})
