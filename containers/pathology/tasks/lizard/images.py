"""Scores by source image, each counted once however many patches it has, beside those by patch.

CoNIC's four files do not say where in its source image a patch lay, so the image cannot be put together again. What is scored is an
image's patches pooled: TP, FP, FN, ΣIoU, px and AJI's parts are summed over them, then come the image's scores, then the mean over
images. Unlike a score of the image whole, a nucleus at a patch's border is cut there on both sides and counted in each patch that it
reaches into, and where patches overlap, twice.

As CellViT++ does (Hörst et al. 2025), what is not a number is left out of means: an image without nuclei in truth and in prediction
has no score, and of mPQ an image whose truth has none.
"""

from __future__ import annotations

import numpy as np

from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import MIN_CLUSTERS, Spread, cluster_bootstrap
from pathology.tasks.lizard.sums import FIELDS, present_in, ratio

OF_IMAGES = ("bpq", "mpq", "dice", "aji")


def image_values(sums: np.ndarray) -> np.ndarray:
    """(sources, K + 1, fields) sums to (sources, 4) in the order of OF_IMAGES; NaN where an image has no such score."""
    part = {name: sums[..., index] for index, name in enumerate(FIELDS)}
    pq = ratio(part["iou_sum"], part["tp"] + 0.5 * part["fp"] + 0.5 * part["fn"])
    has = (part["tp"] + part["fn"])[:, :-1] > 0
    mpq = ratio((pq[:, :-1] * has).sum(axis=1), has.sum(axis=1), empty=np.nan)
    dice = ratio(2 * part["pixels_both"], part["pixels_true"] + part["pixels_predicted"], empty=np.nan)[:, -1]
    aji = ratio(part["aji_intersection"], part["aji_union"], empty=np.nan)[:, -1]
    return np.stack([np.where(present_in(sums)[:, -1], pq[:, -1], np.nan), mpq, dice, aji], axis=1)


def of_images(
    sums: np.ndarray, *, resamples: int, confidence: float, seed: int, least: int = MIN_CLUSTERS
) -> dict[str, Interval | Spread]:
    """The mean over images of each score by its name in OF_IMAGES; one that no image has is left out."""
    values = image_values(sums)
    known = ~np.isnan(values)
    pairs = np.stack([np.where(known, values, 0.0), known], axis=-1)
    estimates = cluster_bootstrap(
        lambda totals: ratio(totals[..., 0], totals[..., 1], empty=np.nan),
        pairs,
        takes_part=known,
        least=least,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    return {name: each for name, each in zip(OF_IMAGES, estimates, strict=True) if each is not None}
