"""Detection of nuclei by their centroids: one-to-one pairs within a distance.

HoVer-Net's paper (Graham et al. 2019) takes 6 px at 20× and 12 px at 40×, both 3 µm, after Sirinukunwattana et al. 2016; its code
(https://github.com/vqdang/hover_net, compute_stats.py) takes 12 px whatever the scale. That code pairs by the least sum of all
distances and drops what is farther than the radius, by which a nucleus far from all others can take another's partner; here pairs
beyond the radius are never made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from pathology.metrics.panoptic import relabel


def centroids(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (n, 2) of the middles of the instances of ``labels`` (H, W, 2) of instance and class, and their classes (n,).

    An instance's class is that of most of its px.
    """
    numbers, kinds = relabel(labels[..., 0]), labels[..., 1].astype(np.int64)
    count = int(numbers.max(initial=0))
    if not count:
        return np.zeros((0, 2)), np.zeros(0, np.int64)
    points = np.array(ndimage.center_of_mass(numbers > 0, numbers, np.arange(1, count + 1)))
    inside = numbers > 0
    width = int(kinds.max()) + 1
    pixels = np.bincount((numbers[inside] - 1) * width + kinds[inside], minlength=count * width).reshape(count, width)
    return points, pixels.argmax(axis=1)


def paired(true: np.ndarray, predicted: np.ndarray, radius: float) -> int:
    """How many pairs one-to-one of ``true`` (n, 2) and ``predicted`` (m, 2) points at most ``radius`` apart.

    As many as there can be (Hopcroft & Karp's number): a pair within the radius always outweighs what it costs the others in distance.
    """
    if not len(true) or not len(predicted):
        return 0
    distances = cdist(true, predicted)
    near = distances <= radius
    never = 2 * radius * min(distances.shape) + 1
    chosen = linear_sum_assignment(np.where(near, distances, never))
    return int(near[chosen].sum())


def paired_by_class(true: np.ndarray, predicted: np.ndarray, classes: int, radii: Sequence[float]) -> np.ndarray:
    """(K + 1, radii) pairs within each radius between label maps (H, W, 2): of nuclei of each class 1 to K alone, last of any class."""
    (ours, our_kinds), (theirs, their_kinds) = centroids(true), centroids(predicted)
    sides = [(ours[our_kinds == kind], theirs[their_kinds == kind]) for kind in range(1, classes + 1)]
    return np.array([[paired(*side, radius) for radius in radii] for side in (*sides, (ours, theirs))])
