"""From a network's maps to single nuclei: a watershed from markers where the distance maps rise.

Inside a nucleus both distance maps rise, horizontally from left to right and vertically from top to bottom. Where two nuclei touch,
one of them falls from 1 to -1. So the sign of their derivatives tells inside from border whatever the size of the nucleus: where
both rise is a marker, and the steepest fall is the ridge at which two floods meet. HoVer-Net (Graham et al. 2019) uses the same
gradients, but scales them by the extremes of the whole picture; here nothing looks further than a few px and a nucleus's own
connected component of the mask, so what lies elsewhere in the picture, or beyond a window's border, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pathology.contracts.errors import DataError, RequestError

BAND_PIXELS = 2048 * 2048
"""px worked on at once: about 100 MB of derivatives and queues; larger pictures go by connected components in bands, with the same
result."""
REACH = 4.0
"""Of the smoothing, in its standard deviations; beyond it lie 0.006 % of a Gaussian."""

ROUNDING = 1e-3
"""How far beyond 0 and 1 a probability may lie after arithmetic in half precision."""


@dataclass(frozen=True, kw_only=True)
class WatershedParams:
    """Lengths in px at 0.5 µm/px. Chosen on ten real patches, whose true maps give back their nuclei at bPQ 0.998, with Gaussian
    noise of 0.2 on every px at 0.995, blurred by 2 px (standard deviation) at 0.959.

    A px is nucleus above ``threshold``. Distance maps are smoothed by ``smoothing`` (standard deviation) as they are derived.
    Markers of less than ``smallest_marker`` px² are noise, unless their connected component has no other; components and nuclei of
    less than ``smallest`` px² go, and holes in the mask of up to ``largest_hole`` px² are filled.
    """

    threshold: float = 0.5
    smoothing: float = 2.0
    smallest_marker: int = 8
    smallest: int = 10
    largest_hole: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1 or not 0 < self.smoothing <= 16:
            raise RequestError("watershed parameters: threshold lies between 0 and 1, smoothing between 0 and 16 px: change them")
        if min(self.smallest_marker, self.smallest) < 1 or self.largest_hole < 0:
            raise RequestError("watershed parameters: areas are at least 1 px², the largest hole at least 0: change them")


STANDARD = WatershedParams()


def instances(
    nucleus: np.ndarray, distances: np.ndarray, params: WatershedParams = STANDARD, *, band_pixels: int = BAND_PIXELS
) -> np.ndarray:
    """The nuclei as (H, W) int32, 1 to n by their first px from top to bottom, 0 background; each is 4-connected.

    ``nucleus`` (H, W) holds probabilities, ``distances`` (2, H, W) the horizontal and vertical maps (see
    :func:`pathology.nuclei.targets.distance_maps`), of any floating type. ``band_pixels`` bounds memory, not the result; a single
    connected component that is larger is worked on whole.

    Raises:
        DataError: for shapes that disagree, for NaN or infinity, for probabilities outside 0 to 1.
    """
    check_maps(nucleus, distances)
    height, width = nucleus.shape
    components, areas = _components(nucleus > params.threshold, params)
    numbered = np.zeros((height, width), np.int32)
    count = 0
    for first, last, chosen in _bands(components, areas, max(1, band_pixels // max(width, 1))):
        rows = slice(first, last)
        band = components[rows] if chosen is None else np.where(chosen[components[rows]], components[rows], 0)
        nuclei = _watershed(band, _gradient(components, distances, rows, params), params)
        inside = nuclei > 0
        numbered[rows][inside] = nuclei[inside] + count
        count += int(nuclei.max(initial=0))
    return in_order(numbered)


def check_maps(nucleus: np.ndarray, distances: np.ndarray) -> None:
    """Refuse maps that no network of ours gives; see :func:`instances`."""
    if nucleus.ndim != 2 or distances.shape != (2, *nucleus.shape) or not nucleus.size:
        raise DataError(f"nucleus map {nucleus.shape}, distance maps {distances.shape}: give (H, W) and (2, H, W) of one picture")
    if nucleus.dtype.kind != "f" or distances.dtype.kind != "f":
        raise DataError(f"nucleus map of {nucleus.dtype}, distance maps of {distances.dtype}: give floating-point numbers")
    for name, values in (("nucleus map", nucleus), ("distance maps", distances)):
        if not np.isfinite(values).all():
            raise DataError(f"{name}: holds NaN or infinity: the network diverged, or half precision overflowed; look there")
    if nucleus.min() < -ROUNDING or nucleus.max() > 1 + ROUNDING:
        raise DataError(f"nucleus map: runs from {nucleus.min():.3g} to {nucleus.max():.3g}: give probabilities and not logits")


def in_order(labels: np.ndarray) -> np.ndarray:
    """``labels`` (H, W) ≥ 0 renumbered, 1 to n, by each one's first px in reading order: int32."""
    indices = np.flatnonzero(labels)
    ids = labels.ravel()[indices]
    first = np.full(int(ids.max(initial=0)) + 1, -1, np.int64)
    first[ids[::-1]] = indices[::-1]  # of a repeated index numpy keeps the last value: here the smallest one
    present = np.flatnonzero(first >= 0)
    numbers = np.zeros(len(first), np.int32)
    numbers[present[np.argsort(first[present])]] = np.arange(1, len(present) + 1, dtype=np.int32)
    return numbers[labels]


def _components(mask: np.ndarray, params: WatershedParams) -> tuple[np.ndarray, np.ndarray]:
    """4-connected components of the ``mask`` (H, W) bool as int32 labels, and the area of each label (0 of what was too small)."""
    gaps, _ = ndimage.label(~mask, np.ones((3, 3)))
    small = np.bincount(gaps.ravel()) <= params.largest_hole
    small[0] = False  # the mask itself
    small[np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])] = False  # what is open to the outside is not a hole
    labels, _ = ndimage.label(mask | small[gaps])
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    areas[areas < params.smallest] = 0
    labels[areas[labels] == 0] = 0
    return labels, areas


def _bands(components: np.ndarray, areas: np.ndarray, max_rows: int) -> Iterator[tuple[int, int, np.ndarray | None]]:
    """First and last row of each band, and which components (n + 1,) bool are in it; None is all. None is divided."""
    height = len(components)
    if height <= max_rows:
        yield 0, height, None
        return
    boxes = ndimage.find_objects(components)
    spans = sorted((box[0].start, box[0].stop, label) for label, box in enumerate(boxes, 1) if box is not None)
    in_band = np.zeros(len(areas), bool)
    first, last = 0, 0
    for start, stop, label in spans:
        if in_band.any() and max(last, stop) - first > max_rows:
            yield first, last, in_band
            in_band, last = np.zeros(len(areas), bool), 0
        if not in_band.any():
            first = start
        in_band[label] = True
        last = max(last, stop)
    if in_band.any():
        yield first, last, in_band


def _gradient(components: np.ndarray, distances: np.ndarray, rows: slice, params: WatershedParams) -> np.ndarray:
    """The gradient that is flooded: the steeper fall of the two maps at each px of ``rows``, per px: (rows, W) float32, negative where
    both rise.

    Outside all ``components`` a network promises nothing, so there the maps count as 0, which is what they are trained to be; beyond
    -1 and 1 they are cut off, so that a filled hole or a wild px pulls no harder than a border.
    """
    margin = int(REACH * params.smoothing + 0.5)
    top, end = max(rows.start - margin, 0), rows.stop + margin
    slopes = []
    for values, axis in ((distances[0], 1), (distances[1], 0)):
        smooth = np.where(components[top:end] > 0, np.clip(values[top:end], -1, 1), 0).astype(np.float32)
        for direction in (0, 1):
            order = int(direction == axis)
            smooth = ndimage.gaussian_filter1d(
                smooth, params.smoothing, axis=direction, order=order, truncate=REACH, mode="nearest"
            )
        slopes.append(smooth[rows.start - top :][: rows.stop - rows.start])
    return np.asarray(-np.minimum(*slopes))


def _watershed(components: np.ndarray, gradient: np.ndarray, params: WatershedParams) -> np.ndarray:
    """Nuclei of whole ``components`` (h, W), numbered from 1 with gaps: int32."""
    from skimage.segmentation import watershed

    mask = components > 0
    markers, count = ndimage.label(mask & (gradient < 0))
    small = np.bincount(markers.ravel()) < params.smallest_marker
    markers[small[markers]] = 0
    marked = np.zeros(int(components.max(initial=0)) + 1, bool)
    marked[components[markers > 0]] = True
    bare = mask & ~marked[components]  # components without a marker are a nucleus each
    markers[bare] = components[bare] + count
    nuclei = np.asarray(watershed(gradient, markers, mask=mask, connectivity=1), np.int32)
    small = np.bincount(nuclei.ravel()) < params.smallest
    nuclei[small[nuclei]] = 0
    return nuclei
