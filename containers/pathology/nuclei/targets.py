"""What the network learns beside mask and class: how far each px lies from the middle of its nucleus."""

from __future__ import annotations

import numpy as np

from pathology.contracts.errors import DataError


def distance_maps(instances: np.ndarray) -> np.ndarray:
    """Horizontal and vertical distance of each px from its nucleus's centre of mass: (2, H, W) float32 in -1 to 1.

    ``instances`` (H, W) are whole numbers, 0 background; ids need be neither contiguous nor sorted. Left of and above the centre
    distances are negative. Each side is divided by its own longest distance, so that every nucleus reaches -1 and 1 whatever its
    size (HoVer-Net, Graham et al. 2019); background is 0. Unlike there the centre is not rounded to a px. A nucleus one px wide
    is 0 across: offsets are counted in whole numbers (area times px), so that rounding never makes it anything else.

    Raises:
        DataError: for another shape, for floats, for a negative id.
    """
    if instances.ndim != 2 or instances.dtype.kind not in "iu":
        raise DataError(
            f"instance map: has shape {instances.shape} of {instances.dtype}, and not (H, W) of whole numbers: give the ids"
        )
    maps = np.zeros((2, *instances.shape), np.float32)
    rows, columns = np.nonzero(instances)
    if not len(rows):
        return maps
    ids = instances[rows, columns]
    if ids.min() < 0:
        raise DataError(f"instance map: holds the negative id {ids.min()}: number nuclei from 1")
    which = _compact(ids)
    areas = np.bincount(which)
    for target, coordinates in zip(maps, (columns, rows), strict=True):
        sums = np.bincount(which, weights=coordinates).astype(np.int64)
        offsets = coordinates * areas[which] - sums[which]
        before, after = np.zeros_like(areas), np.zeros_like(areas)
        np.minimum.at(before, which, offsets)
        np.maximum.at(after, which, offsets)
        longest = np.where(offsets < 0, -before[which], after[which])
        target[rows, columns] = offsets / np.maximum(longest, 1)
    return maps


def _compact(ids: np.ndarray) -> np.ndarray:
    """``ids`` (n,) as small numbers for counting: themselves where that is cheap, their ranks where they are far apart."""
    if ids.max() <= max(4 * len(ids), 65_535):
        return ids.astype(np.int64)
    return np.unique(ids, return_inverse=True)[1]
