"""evaluation.json of a binary classifier: Model Monitor's block, and what its ``pathology`` block has beside every task's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pathology.contracts.evaluation import Baseline, Bounds, Count, EvaluationBlock, EvaluationSettings, Measure, Probability
from pathology.contracts.operating_points import OperatingPoint
from pathology.contracts.settings import setting, split_names
from pathology.contracts.strict_json import StrictJson

Prevalences = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], BeforeValidator(split_names), Field(min_length=1)]


class RocCurve(StrictJson):
    """From (0, 0) to (1, 1)."""

    false_positive_rates: list[Probability]
    true_positive_rates: list[Probability]


class PrecisionRecallCurve(StrictJson):
    """Recall falls to 0, where precision is 1 by convention."""

    precisions: list[Probability]
    recalls: list[Probability]


class BinaryClassificationMetrics(StrictJson):
    """Model Monitor's names. ``confusion_matrix`` is actual → predicted → count; precision and F are 0 where undefined."""

    confusion_matrix: dict[Literal["0", "1"], dict[Literal["0", "1"], Count]]
    recall: Measure
    precision: Measure
    accuracy: Measure
    balanced_accuracy: Measure
    true_positive_rate: Measure
    true_negative_rate: Measure
    false_positive_rate: Measure
    false_negative_rate: Measure
    f0_5: Measure
    f1: Measure
    f2: Measure
    auc: Measure
    receiver_operating_characteristic_curve: RocCurve
    precision_recall_curve: PrecisionRecallCurve


class CalibrationBin(StrictJson):
    """Patients or patches by predicted probability: their mean prediction, and the fraction that is positive, with Wilson's interval."""

    n: Count
    positives: Count
    mean_probability: Probability
    observed: Bounds


class NetBenefit(StrictJson):
    """What acting from the probability ``threshold`` on is worth, in true positives per item, by the ``model`` and on ``everybody``; 0 is
    acting on nobody."""

    threshold: Probability
    model: Bounds
    everybody: float


SITE_POSITIVES, SITE_NEGATIVES = 12, 48
"""Fewer at a site have no AUROC: the smallest test for which its interval's coverage was simulated."""


class SiteRow(StrictJson):
    """One tissue source site: of its ``positives`` so many ``found``, of its negatives so many ``right``, at the threshold.

    ``auroc`` is null where there are fewer than :data:`SITE_POSITIVES` or :data:`SITE_NEGATIVES`.
    """

    site: str
    n: Count
    positives: Count
    found: Count
    right: Count
    auroc: Bounds | None


class AtPrevalence(StrictJson):
    """Where ``prevalence`` of those tested are positive: predictive values, and how many of 100 are ``spared`` a further test."""

    prevalence: Annotated[float, Field(gt=0, lt=1)]
    positive_predictive_value: Bounds
    negative_predictive_value: Bounds
    spared: Bounds


class OperatingRow(StrictJson):
    """An operating point on the test items: ``missed`` positives, ``false_alarms``, and the fractions with their intervals."""

    point: OperatingPoint
    decides: bool
    missed: Count
    false_alarms: Count
    sensitivity: Bounds
    specificity: Bounds
    at_prevalence: list[AtPrevalence]


class ReadOff(StrictJson):
    """The best ``specificity`` of a threshold with at least ``sensitivity``, both on the test items themselves: no method gives an interval
    for it, and new items will do worse."""

    sensitivity: Probability
    specificity: Probability


class BinaryBlock(EvaluationBlock):
    """Of a binary classifier; class 1 is positive, ``threshold`` is on its probability, and where the labels of its answers change.

    ``operating_points`` are empty for models that keep none. ``read_off`` is at the sensitivity that training was told, 0.95 where it was
    told none. ``baseline`` is null where the model's artefact holds none. ``intervals`` have no ``calibration_slope`` or
    ``calibration_intercept`` where none is found: the classes are apart, say.
    """

    intervals: dict[str, Bounds]
    positives: Count
    threshold: Probability
    brier: float
    calibration: list[CalibrationBin]
    operating_points: list[OperatingRow]
    read_off: ReadOff
    decision_curve: list[NetBenefit]
    baseline: Baseline | None = None


class BinaryEvaluationSettings(EvaluationSettings):
    """What the evaluation of a binary classifier is told."""

    prevalences: Prevalences = setting(
        (0.1, 0.3), "Fractions of positives at which predictive values are given, beside the test's own.", parameter=True
    )
