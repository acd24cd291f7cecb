"""EvaluateLizard's hyperparameters, predictions.csv and evaluation.json: Studio's metrics for several classes, and a block on nuclei.

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pathology.contracts.evaluation import (
    Comparison,
    Count,
    Estimate,
    EvaluationBlock,
    EvaluationSettings,
    Measure,
    ModelIdentity,
    Probability,
    Standing,
)
from pathology.contracts.lizard.published import PublishedMeasure
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import Row


class EvaluateLizard(EvaluationSettings):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html; ``resamples`` draws of source images."""


RADII = (6, 12)
"""px of 0.5 µm between two centroids of one nucleus: the 3 µm of HoVer-Net's paper, and the 12 px of its code; a lymphocyte is some
12 px wide."""


class NucleiScoreRow(Row):
    """One test patch and one class, or ``all`` for nuclei of any class.

    ``tp``, ``fp``, ``fn`` and ``iou_sum`` (over the matches) are at IoU > 0.5; ``pixels_both``, ``pixels_true`` and
    ``pixels_predicted`` give Dice; ``aji_intersection`` and ``aji_union`` AJI (for ``all`` only, else 0). ``paired_6`` and
    ``paired_12`` are nuclei of the class paired one to one by their centroids alone, at most that many px apart (see
    :mod:`pathology.metrics.centroids`), of TP + FN true and TP + FP predicted ones. ``true_count`` and ``predicted_count`` are nuclei
    in the central 224 px as counts.csv counts them (see there); for ``all`` their sum.
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
    paired_6: Count
    paired_12: Count
    true_count: Count
    predicted_count: Count


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


class ClassRow(StrictJson):
    """One class: its nuclei in the test patches and in their central 224 px, and its scores; null where it is nowhere.

    ``f1`` of detecting the class is its ``dq``: both are 2TP / (2TP + FP + FN). ``centroid_f1`` takes nuclei of the class for found whose
    centroids are at most 12 px apart, ``centroid_f1_6`` 6 px. ``count_error`` is the mean absolute error of a patch's count.
    """

    name: str
    true: Count
    predicted: Count
    true_central: Count
    predicted_central: Count
    count_error: float
    pq: Estimate | None
    dq: Estimate | None
    sq: Estimate | None
    f1: Estimate | None
    centroid_f1: Estimate | None
    centroid_f1_6: Estimate | None
    r2: Estimate | None


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


class BaselineClass(StrictJson):
    """Counts of one class by the baseline; null where the class is nowhere."""

    name: str
    count_error: float
    r2: Estimate | None


class NucleiBaseline(StrictJson):
    """What something simple reaches on the same test patches: ``words`` say what, and it was fitted on so many patches of the train side.

    ``threshold`` is on the haematoxylin that it takes for nuclei, each of which it calls ``nucleus_class``. ``intervals`` are those of
    the model's measures, ``standing`` where the model's interval lies against the baseline's value, null where it has none.
    """

    words: str
    fitted_patches: Count
    fitted_sources: Count
    threshold: float
    nucleus_class: str
    intervals: dict[str, Estimate]
    standing: dict[str, Standing | None]
    classes: list[BaselineClass]


class LizardBlock(EvaluationBlock):
    """``n`` are test patches of ``side`` px out of ``sources`` source images, ``nuclei`` the true ones in them, ``predicted`` the found.

    Counts are of nuclei in the middle ``central`` px of a patch.

    ``empty_patches`` have none of either and count as 0 in means over patches. ``intervals`` are by source image, named bpq, mpq,
    mpq_plus, r2, dice, aji, detection_f1, centroid_f1; ``images`` are means over source images, of each image's patches pooled: bpq,
    mpq, dice, aji. Where there are too few source images for an interval, and for R², a range stands in its place.
    ``published_partition``: the test patches are of fold 0 and as many as the published, with Lizard's classes, without which
    ``published`` compares unlike things.
    """

    task: Literal["lizard"]
    side: Count
    central: Count
    sources: Count
    nuclei: Count
    predicted: Count
    empty_patches: Count
    classes: list[ClassRow]
    images: dict[str, Estimate]
    confusion: Confusion
    baseline: NucleiBaseline
    published: list[Comparison[PublishedMeasure]]
    published_partition: bool
    model: NucleiModelIdentity


class LizardEvaluation(StrictJson):
    """The whole file."""

    multiclass_classification_metrics: MulticlassClassificationMetrics
    pathology: LizardBlock
