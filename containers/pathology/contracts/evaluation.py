"""evaluation.json: Model Monitor's binary classification metrics, which Studio's registry draws, and our ``pathology`` block.

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html. Strict JSON: what has no
value is null or absent, never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import Field

from pathology.contracts.intervals import Interval
from pathology.contracts.strict_json import StrictJson

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Measure(StrictJson):
    """A leaf as Studio reads it."""

    value: float
    standard_deviation: float

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """An estimate and its standard deviation."""
        return cls(value=interval.value, standard_deviation=interval.deviation)


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


class Bounds(StrictJson):
    """An estimate with its confidence interval; the level stands once, beside all of them."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """The interval without its level."""
        return cls(value=interval.value, low=interval.low, high=interval.high)


Standing = Literal["higher", "lower", "within"]
"""Where our whole interval lies against a published number; ``within`` where it holds that."""


def standing(own: Interval, published: float) -> Standing:
    """``own`` against ``published``, which comes without an interval; a bound itself belongs to the interval."""
    if own.low > published:
        return "higher"
    return "lower" if own.high < published else "within"


M = TypeVar("M", bound=str)


class Published(StrictJson, Generic[M]):
    """What somebody else reports of a measure ``M``, how, and where it stands; nobody publishes an interval with it."""

    model: str
    how: str
    measure: M
    value: Probability
    source: str


class Comparison(StrictJson, Generic[M]):
    """Our measure beside a published one: ``higher`` or ``lower`` where our whole interval is, ``within`` where it holds theirs."""

    published: Published[M]
    own: Bounds
    own_is: Standing


def compare(published: Sequence[Published[M]], intervals: Mapping[str, Interval]) -> list[Comparison[M]]:
    """Ours beside each of ``published``, in its order; ``intervals`` has each of their measures."""
    found = []
    for one in published:
        own = intervals[one.measure]
        found.append(Comparison[M](published=one, own=Bounds.of(own), own_is=standing(own, one.value)))
    return found


class CalibrationBin(StrictJson):
    """Patients by predicted probability: their mean prediction, and the share that is positive with its Wilson interval."""

    n: Count
    positives: Count
    mean_probability: Probability
    observed: Bounds


class SiteRow(StrictJson):
    """One tissue source site; ``auroc`` is null where a class is absent."""

    site: str
    n: Count
    positives: Count
    auroc: Probability | None


class NotEvaluable(StrictJson):
    """A test patient without a slide that has features, and why."""

    patient_id: str
    label: Literal[0, 1]
    slides: Count
    reason: str


class ModelIdentity(StrictJson):
    """What was evaluated: hashes of the archive and of its configuration, which holds those of all weights.

    ``trained_on_this_cohort``: the cohort table is the one that the model was trained from, so that its split holds.
    """

    archive_sha256: str
    config_sha256: str
    folds: Count
    labels: tuple[str, str]
    trained_on_this_cohort: bool
    out_of_fold_auroc: Bounds
    serving_code: str
    evaluated_with_code: str


class EncoderReport(StrictJson):
    """The encoder behind the features; ``published`` is False for a seeded stand-in, and ``remark`` says what it is."""

    name: str
    sha256: str
    published: bool
    remark: str


class PathologyBlock(StrictJson):
    """What a pathologist and an auditor ask for beside Studio's numbers."""

    task: Literal["msi"]
    n: Count
    positives: Count
    slides: Count
    not_evaluable: list[NotEvaluable]
    threshold: Probability
    confidence: float
    resamples: Count
    seed: Count
    intervals: dict[str, Bounds]
    brier: float
    calibration: list[CalibrationBin]
    sites: list[SiteRow]
    model: ModelIdentity
    encoder: EncoderReport
    data: dict[str, str]
    cautions: list[str]


class Evaluation(StrictJson):
    """The whole file."""

    binary_classification_metrics: BinaryClassificationMetrics
    pathology: PathologyBlock
