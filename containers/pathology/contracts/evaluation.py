"""evaluation.json: Model Monitor's metrics, which Studio's registry draws, and what every task's ``pathology`` block has.

Format: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html. Strict JSON: what has no
value is null or absent, never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import Field

from pathology.contracts.drift import NO_BASELINE
from pathology.contracts.encoder import EncoderSource, NamedEncoder
from pathology.contracts.history import LossCurve
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import Spread
from pathology.contracts.registry import RegistryText
from pathology.contracts.runs import RunOutput
from pathology.contracts.settings import Seed, Settings, setting
from pathology.contracts.strict_json import StrictJson

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.csv"
"""What an Evaluate step leaves, side by side."""

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Measure(StrictJson):
    """A leaf as Studio reads it."""

    value: float
    standard_deviation: float

    @classmethod
    def of(cls, interval: Interval | Spread) -> Self:
        """An estimate and its standard deviation."""
        return cls(value=interval.value, standard_deviation=interval.std)


class Bounds(StrictJson):
    """An estimate with its confidence interval; the level stands once, beside all of them."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """The interval without its level."""
        return cls(value=interval.value, low=interval.low, high=interval.high)


class Range(StrictJson):
    """An estimate that has no confidence interval: its lowest and highest value as each of the ``clusters`` in turn is left out."""

    value: float
    lowest: float
    highest: float
    clusters: Count


Estimate = Bounds | Range
"""With a confidence interval, or without one."""


def estimate(measured: Interval | Spread) -> Estimate:
    """As evaluation.json has it."""
    if isinstance(measured, Interval):
        return Bounds.of(measured)
    return Range(value=measured.value, lowest=measured.lowest, highest=measured.highest, clusters=measured.clusters)


Standing = Literal["higher", "lower", "within"]
"""Where our whole interval lies against a published number; ``within`` where it holds that."""


def standing(measured: Interval, published: float) -> Standing:
    """``measured`` against ``published``, which comes without an interval; a bound itself belongs to the interval."""
    if measured.low > published:
        return "higher"
    return "lower" if measured.high < published else "within"


M = TypeVar("M", bound=str)


class Published(StrictJson, Generic[M]):
    """What somebody else reports of a measure ``M``, how, and where it stands; nobody publishes an interval with it.

    ``unit`` is what was scored one by one before the mean was taken, such as a patch or a whole image.
    """

    model: str
    how: str
    unit: str
    measure: M
    value: Probability
    source: str


class Comparison(StrictJson, Generic[M]):
    """Our measure beside a published one: ``higher`` or ``lower`` where our whole interval is, ``within`` where it holds theirs.

    ``standing`` is null where the two cannot be compared, and ``incomparable`` says why; that is empty where they can.
    """

    published: Published[M]
    measured: Estimate
    standing: Standing | None
    incomparable: str


def compare(
    published: Sequence[Published[M]], intervals: Mapping[str, Interval | Spread], unit: str, same_test: bool
) -> list[Comparison[M]]:
    """Ours beside each of ``published``, in its order; ``intervals`` has each of their measures.

    ``unit`` is what ours are scores of, and ``same_test`` whether of the items that the published numbers are of.
    """
    rows = []
    for result in published:
        measured = intervals[result.measure]
        reason = "" if same_test else "another test"
        if result.unit != unit:
            reason = f"scores of {_plural(result.unit)}"
        where = None
        if isinstance(measured, Interval):
            where = None if reason else standing(measured, result.value)
        else:
            reason = reason or "ours has no confidence interval"
        rows.append(Comparison[M](published=result, measured=estimate(measured), standing=where, incomparable=reason))
    return rows


def _plural(unit: str) -> str:
    return f"{unit}es" if unit.endswith("ch") else f"{unit}s"


class EncoderReport(StrictJson):
    """The encoder that the model was trained on, as :class:`pathology.contracts.encoder.NamedEncoder` knows it.

    ``verified``: the checkpoint is the one whose hash its publisher states, in ``source``; ``origin`` says in words what the name
    stands on.
    """

    name: str
    sha256: str
    verified: bool
    origin: RegistryText
    placeholder: bool
    source: EncoderSource | None
    remark: str

    @classmethod
    def of(cls, encoder: NamedEncoder) -> Self:
        """What evaluation.json says of ``encoder``."""
        return cls(**{name: getattr(encoder, name) for name in cls.model_fields})


class RegistryFacts(StrictJson):
    """What a model version says of its run, by key of its metadata and in the characters that the registry takes.

    ``labels`` are the model's: the positive one before the negative one, or all in their order. ``drift_baseline_sha256`` is that of
    drift-baseline.json beside evaluation.json, or ``none`` where the model's artefact has none.
    """

    labels: RegistryText
    drift_baseline_sha256: RegistryText = NO_BASELINE


class TrainingReport(StrictJson):
    """How the model was trained: the hash of the job's ``code``, its ``settings``, what was learnt from by sha256, and the libraries.

    ``curves`` are empty where nothing is trained by epochs, and of models that kept none, whose ``code`` is null too.
    """

    code: str | None
    settings: dict[str, str]
    inputs: dict[str, str]
    libraries: dict[str, str]
    curves: list[LossCurve]


class DriftReport(StrictJson):
    """The drift-baseline.json that lies beside evaluation.json: its sha256, that it is of ``taken`` of the ``items`` learnt from, counted
    in ``unit``, and of how many items, counted in ``colours_unit``, colours are known and unknown."""

    sha256: str
    unit: str
    items: Count
    taken: Count
    colours_unit: str
    colours: Count
    colours_unknown: Count


class ModelIdentity(StrictJson):
    """What was evaluated: where the archive lay, hashes of it and of its configuration, which holds those of all weights.

    ``version`` names the model everywhere: an endpoint answers it as ``model_version``, and the registered version has it under that
    name among its metadata. ``serving_code`` is packed with the model; evaluation ran ``evaluated_with_code``. ``drift_baseline`` is null
    of an artefact that keeps none.
    """

    archive_uri: str
    archive_sha256: str
    config_sha256: str
    version: str
    serving_code: str
    evaluated_with_code: str
    training: TrainingReport
    drift_baseline: DriftReport | None = None


class Seen(StrictJson):
    """How many of the ``test_items``, counted in ``unit``, the model has learnt from, and the names of the first few of them.

    ``seen`` is null where it is not known: the model's artefact keeps no list of what it learnt from.
    """

    unit: str
    test_items: Count
    seen: Count | None
    names: list[str]


class Baseline(StrictJson):
    """What something simple reaches on the very same test items, by measure, and where the model's interval lies against it.

    ``words`` say what it is, ``chosen`` how its penalty and ``threshold`` were; it was ``fitted_on`` so many training items,
    ``positives`` of them of class 1; where there are no two classes, ``positives`` and ``threshold`` are null. ``standing`` is of
    ``measure``: the model's whole interval against the baseline's value, which has an interval too. Both are of the same items, and the
    difference of the two has no interval here.
    """

    name: str
    words: str
    chosen: str
    fitted_on: Count
    positives: Count | None
    threshold: Probability | None
    intervals: dict[str, Bounds]
    interval_methods: dict[str, Annotated[str, Field(min_length=1)]]
    measure: str
    standing: Standing


class EvaluationBlock(StrictJson):
    """What a pathologist and an auditor ask for beside Studio's numbers, for any task.

    ``n`` test items, of which the model may have ``seen`` some; ``intervals`` by measure and the method of each, at the level
    ``confidence``, with a range in place of an interval where no method covers; bootstraps are of ``resamples`` draws seeded with
    ``seed``. ``data`` are the sha256 of what was read, by name, and ``data_uris`` where that lay. ``computed_by`` is the execution whose
    job wrote this, as the output's URI says; null where that names none. ``warnings`` say what a reader must know first, most important
    first. ``registry`` is what a model version takes over.
    """

    n: Count
    seen: Seen
    confidence: float
    resamples: Count
    seed: Count
    intervals: Mapping[str, Estimate]
    interval_methods: dict[str, Annotated[str, Field(min_length=1)]]
    encoder: EncoderReport
    computed_by: RunOutput | None
    data: dict[str, str]
    data_uris: dict[str, str]
    warnings: list[str]
    registry: RegistryFacts


class Resampling(Settings):
    """Bootstrap draws of the test items give the intervals of an evaluation."""

    resamples: int = setting(2000, "Bootstrap draws of the test items.", ge=100, le=100_000)
    confidence: float = setting(0.95, "Level of the intervals.", gt=0.5, lt=1)
    seed: Seed = setting(0, "Seed of the draws.")


class EvaluationSettings(Resampling):
    """What every evaluation is told."""

    allow_seen: bool = setting(
        False, "Evaluate even if the model has learnt from some of the test items; the report then warns.", parameter=True
    )
