"""The rows of predictions.csv: what of a patch every score follows from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pathology.contracts.lizard.evaluate import RADII, NucleiScoreRow
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.metrics.centroids import paired_by_class
from pathology.metrics.panoptic import Aji, aji, dice, score, score_classes
from pathology.nuclei.counts import CENTRAL, central_counts


def patch_rows(
    name: str, source: str, true: np.ndarray, predicted: np.ndarray, classes: Sequence[str], central: int = CENTRAL
) -> list[NucleiScoreRow]:
    """The rows of one patch: each of ``classes`` in order, then ``all``; from label maps (H, W, 2) of instance and class.

    Raises:
        ValueError: when the maps differ in shape, or hold a class beyond ``classes``.
    """
    scores = [*score_classes(true, predicted, len(classes)), score(true[..., 0], predicted[..., 0])]
    masks = [(true[..., 1] == k, predicted[..., 1] == k) for k in range(1, len(classes) + 1)]
    pixels = [dice(*pair) for pair in (*masks, (true[..., 0] > 0, predicted[..., 0] > 0))]
    jaccard = [*[Aji(0, 0)] * len(classes), aji(true[..., 0], predicted[..., 0])]
    near = paired_by_class(true, predicted, len(classes), RADII)
    ours, theirs = (central_counts(labels, len(classes), central) for labels in (true, predicted))
    return [
        NucleiScoreRow(
            patch=name,
            source=source,
            class_name=kind,
            tp=scores[k].tp,
            fp=scores[k].fp,
            fn=scores[k].fn,
            iou_sum=scores[k].iou_sum,
            pixels_both=pixels[k].both,
            pixels_true=pixels[k].true,
            pixels_predicted=pixels[k].predicted,
            aji_intersection=jaccard[k].intersection,
            aji_union=jaccard[k].union,
            paired_6=int(near[k, 0]),
            paired_12=int(near[k, 1]),
            true_count=int(ours.sum() if kind == ALL_CLASSES else ours[k]),
            predicted_count=int(theirs.sum() if kind == ALL_CLASSES else theirs[k]),
        )
        for k, kind in enumerate((*classes, ALL_CLASSES))
    ]
