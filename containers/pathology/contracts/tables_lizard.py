"""Tables of the lizard task: patches.csv, and predictions.csv from which every score can be made again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.tables import Row

Count = Annotated[int, Field(ge=0)]


class NucleiPatchRow(Row):
    """One patch of images.npy: its ``index`` there, its name and source image in patch_info.csv, its cohort, its side.

    ``name`` is ``<source>-<number>``, ``cohort`` the source up to its first ``_``. ``nuclei`` are all instances of the patch.
    """

    index: Count
    name: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,199}\z")]
    source: str
    cohort: str
    nuclei: Count
    split: Literal["train", "validation", "test"]


class NucleiScoreRow(Row):
    """One test patch and one class, or ``all`` for nuclei of whatever class.

    ``tp``, ``fp``, ``fn`` and ``iou_sum`` (over the matches) are at IoU > 0.5; ``pixels_both``, ``pixels_true`` and
    ``pixels_predicted`` give Dice; ``aji_intersection`` and ``aji_union`` AJI (for ``all`` only, else 0). ``true_count`` and
    ``predicted_count`` are nuclei in the central 224 px as counts.csv counts them (see there); for ``all`` their sum.
    """

    patch: str
    source: str
    class_name: str
    tp: Count
    fp: Count
    fn: Count
    iou_sum: Annotated[float, Field(ge=0)]
    pixels_both: Count
    pixels_true: Count
    pixels_predicted: Count
    aji_intersection: Count
    aji_union: Count
    true_count: Count
    predicted_count: Count
