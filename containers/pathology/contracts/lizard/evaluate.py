"""EvaluateLizard's hyperparameters, predictions.csv and evaluation.json: Studio's metrics for several classes, and a block on nuclei.

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pathology.contracts.evaluation import (
    Bounds,
    Comparison,
    Count,
    EvaluationBlock,
    EvaluationSettings,
    Measure,
    ModelIdentity,
    Probability,
    Published,
)
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import Row


class EvaluateLizard(EvaluationSettings):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html; ``resamples`` draws of source images."""


class NucleiScoreRow(Row):
    """One test patch and one class, or ``all`` for nuclei of any class.

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


PublishedMeasure = Literal["bpq", "mpq", "mpq_plus", "r2", "dice", "aji"]
PublishedResult = Published[PublishedMeasure]
"""Of Lizard."""


class MulticlassClassificationMetrics(StrictJson):
    """Of the nuclei that were found, whether their class is right. Model Monitor's names, class numbers as labels.

    ``confusion_matrix`` is actual → predicted → count; means are weighted by actual nuclei. A ``best_constant_classifier`` calls
    every nucleus by the class that is the most common among them.
    """

    confusion_matrix: dict[str, dict[str, Count]]
    accuracy: Measure
    weighted_recall: Measure
    weighted_precision: Measure
    weighted_f0_5: Measure
    weighted_f1: Measure
    weighted_f2: Measure
    accuracy_best_constant_classifier: Measure
    weighted_recall_best_constant_classifier: Measure
    weighted_precision_best_constant_classifier: Measure
    weighted_f0_5_best_constant_classifier: Measure
    weighted_f1_best_constant_classifier: Measure
    weighted_f2_best_constant_classifier: Measure


def unit_of(side: int) -> str:
    """What scores by patch are scores of, ``side`` in px."""
    return f"{side} px patch"


_PATCH, _IMAGE = unit_of(256), "whole source image"
_FOLD_0 = "trained on Lizard, fold 0: the split by source image that this task takes"
_CONIC = "Graham et al. 2024, CoNIC Challenge; its baseline's split and code: https://github.com/TissueImageAnalytics/CoNIC"
_PANNUKE = "nuclei as learnt on PanNuke, their classes on Lizard; not necessarily on fold 0"
_CELLVIT = "Hörst et al. 2025, CellViT++: https://arxiv.org/abs/2501.05269"

PUBLISHED_RESULTS = (
    PublishedResult(model="HoVer-Net", how=_FOLD_0, unit=_PATCH, measure="bpq", value=0.6149, source=_CONIC),
    PublishedResult(model="HoVer-Net", how=_FOLD_0, unit=_PATCH, measure="mpq_plus", value=0.4998, source=_CONIC),
    PublishedResult(model="HoVer-Net", how=_FOLD_0, unit=_PATCH, measure="r2", value=0.8585, source=_CONIC),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=_IMAGE, measure="bpq", value=0.536, source=_CELLVIT),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=_IMAGE, measure="mpq", value=0.294, source=_CELLVIT),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=_IMAGE, measure="dice", value=0.774, source=_CELLVIT),
    PublishedResult(model="CellViT++ (SAM-H)", how=_PANNUKE, unit=_IMAGE, measure="aji", value=0.554, source=_CELLVIT),
)
"""Facts §3. None comes with an interval; CellViT++'s are means over whole source images, not over patches."""


class ClassRow(StrictJson):
    """One class: its nuclei in the test patches and in their central 224 px, and its scores; null where it is nowhere.

    ``f1`` of detecting the class is its ``dq``: both are 2TP / (2TP + FP + FN).
    """

    name: str
    true: Count
    predicted: Count
    true_central: Count
    predicted_central: Count
    pq: Bounds | None
    dq: Bounds | None
    sq: Bounds | None
    f1: Bounds | None
    r2: Bounds | None


class Confusion(StrictJson):
    """Nuclei matched at IoU > 0.5 of any class, rows true and columns predicted, in the order of ``classes``.

    ``false_negatives`` are true nuclei that nothing matches, ``false_positives`` predicted ones, by class.
    """

    classes: tuple[str, ...]
    matched: list[list[Count]]
    false_negatives: list[Count]
    false_positives: list[Count]

    @model_validator(mode="after")
    def _square(self) -> Self:
        sizes = {len(self.matched), *map(len, self.matched), len(self.false_negatives), len(self.false_positives)}
        if sizes != {len(self.classes)}:
            raise ValueError(f"a row, a column and both counts of errors for each of the {len(self.classes)} classes")
        return self


class NucleiValidation(StrictJson):
    """How training ended on the validation patches, means over patches; the epoch was chosen by the loss there."""

    patches: Count
    loss: float
    iou: Probability
    dice: Probability
    pq: Probability
    epoch: Count


class NucleiModelIdentity(ModelIdentity):
    """``trained_on_these_patches``: patches.csv is the table that the model was trained from, so that its split holds.

    ``mpp`` is µm a px of the pictures that it takes.
    """

    classes: tuple[str, ...]
    mpp: float
    fine_tuning: Literal["frozen", "lora"]
    trained_on_these_patches: bool
    validation: NucleiValidation


class LizardBlock(EvaluationBlock):
    """``n`` are test patches of ``side`` px out of ``sources`` source images, ``nuclei`` the true ones in them, ``predicted`` the found.

    Counts are of nuclei in the middle ``central`` px of a patch.

    ``empty_patches`` have none of either and count as 0 in means over patches. ``intervals`` are by source image, named bpq, mpq,
    mpq_plus, r2, dice, aji, detection_f1. ``published_partition``: the test patches are of fold 0 and as many as the published, with
    Lizard's classes, without which ``published`` compares unlike things.
    """

    task: Literal["lizard"]
    side: Count
    central: Count
    sources: Count
    nuclei: Count
    predicted: Count
    empty_patches: Count
    classes: list[ClassRow]
    confusion: Confusion
    published: list[Comparison[PublishedMeasure]]
    published_partition: bool
    model: NucleiModelIdentity


class LizardEvaluation(StrictJson):
    """The whole file."""

    multiclass_classification_metrics: MulticlassClassificationMetrics
    pathology: LizardBlock
