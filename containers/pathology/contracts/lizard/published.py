"""What others report on Lizard, and ours beside it, with what may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pathology.contracts.evaluation import Comparison, Published, compare, estimate
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import Spread

PublishedMeasure = Literal[
    "bpq",
    "mpq",
    "mpq_plus",
    "r2",
    "dice",
    "aji",
    "centroid_f1_neutrophil",
    "centroid_f1_epithelial",
    "centroid_f1_lymphocyte",
    "centroid_f1_plasma",
    "centroid_f1_eosinophil",
    "centroid_f1_connective",
]
PublishedResult = Published[PublishedMeasure]
"""Of Lizard."""


def unit_of(side: int) -> str:
    """What scores by patch are scores of, ``side`` in px."""
    return f"{side} px patch"


_PATCH, IMAGE = unit_of(256), "whole source image"
_FOLD_0 = "trained on Lizard, fold 0: the split by source image that this task takes"
_CONIC = "Graham et al. 2024, CoNIC Challenge; its baseline's split and code: https://github.com/TissueImageAnalytics/CoNIC"
_PANNUKE = "nuclei as learnt on PanNuke, their classes on Lizard; not necessarily on fold 0"
_CELLVIT = "Hörst et al. 2025, CellViT++: https://arxiv.org/abs/2501.05269"

_KONGNET = "Lv et al. 2025, KongNet: https://arxiv.org/abs/2510.23559"
_CENTROIDS = (
    "centroids of a class's nuclei against the true ones of that class, on CoNIC; its split and its radius are not in the table"
)
_KONGNET_F1: tuple[tuple[PublishedMeasure, float], ...] = (
    ("centroid_f1_neutrophil", 0.510),
    ("centroid_f1_epithelial", 0.818),
    ("centroid_f1_lymphocyte", 0.707),
    ("centroid_f1_plasma", 0.596),
    ("centroid_f1_eosinophil", 0.591),
    ("centroid_f1_connective", 0.695),
)

PUBLISHED_RESULTS = (
    PublishedResult(model="HoVer-Net", how=_FOLD_0, unit=_PATCH, measure="bpq", value=0.6149, source=_CONIC),
    PublishedResult(model="HoVer-Net", how=_FOLD_0, unit=_PATCH, measure="mpq_plus", value=0.4998, source=_CONIC),
    PublishedResult(model="HoVer-Net", how=_FOLD_0, unit=_PATCH, measure="r2", value=0.8585, source=_CONIC),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=IMAGE, measure="bpq", value=0.536, source=_CELLVIT),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=IMAGE, measure="mpq", value=0.294, source=_CELLVIT),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=IMAGE, measure="dice", value=0.774, source=_CELLVIT),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=IMAGE, measure="aji", value=0.554, source=_CELLVIT),
    *(
        PublishedResult(model="KongNet", how=_CENTROIDS, unit=_PATCH, measure=measure, value=value, source=_KONGNET)
        for measure, value in _KONGNET_F1
    ),
)
"""Facts §3. None comes with an interval; CellViT++'s are means over whole source images, not over patches."""


def beside_published(
    patches: Mapping[str, Interval | Spread], images: Mapping[str, Interval | Spread], unit: str, same_test: bool
) -> list[Comparison[PublishedMeasure]]:
    """Ours beside each of :data:`PUBLISHED_RESULTS`, in its order, but for measures that there are none of here.

    ``patches`` are our scores of ``unit``, of a class by the names of KongNet's; ``images`` those by source image, which stand beside
    CellViT++'s. ``same_test`` is whether the patches are those of fold 0.
    """
    rows: list[Comparison[PublishedMeasure]] = []
    for result in PUBLISHED_RESULTS:
        ours = images if result.unit == IMAGE else patches
        if result.measure not in ours:
            continue
        if result.unit != IMAGE and result.how != _CENTROIDS:
            rows += compare([result], patches, unit, same_test)
            continue
        reason = "its split and radius are not known" if result.how == _CENTROIDS else "ours pools an image's patches"
        rows.append(
            Comparison[PublishedMeasure](
                published=result, measured=estimate(ours[result.measure]), standing=None, incomparable=reason
            )
        )
    return rows
