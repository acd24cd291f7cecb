"""EvaluateMsi's hyperparameters, evaluation.json and predictions.csv."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.binary import BinaryBlock, BinaryClassificationMetrics, BinaryEvaluationSettings, Prevalences, SiteRow
from pathology.contracts.cohort_flow import CohortFlow
from pathology.contracts.evaluation import Bounds, Count, ModelIdentity, Probability, RegistryFacts
from pathology.contracts.registry import RegistryText
from pathology.contracts.settings import setting
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import Row

SEPARATOR, ESCAPED = ";", "%3B"
"""Between values in one cell of a table."""


class EvaluateMsi(BinaryEvaluationSettings):
    """The packaged model on the test patients → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patients.

    Of colorectal cancers some 15 % are MSI-high, of metastatic ones some 5 % (Boland & Goel 2010; Koopman et al. 2009).
    """

    prevalences: Prevalences = setting(
        (0.05, 0.15),
        "Fractions of MSI among those tested at which predictive values are given, beside the test's own.",
        parameter=True,
    )


class Span(StrictJson):
    """A published fraction; of a range its ends, else ``low`` is ``high``."""

    low: Probability
    high: Probability

    def __str__(self) -> str:
        return f"{self.low:.2f}" if self.low == self.high else f"{self.low:.2f} – {self.high:.2f}"


class PublishedPoint(StrictJson):
    """What somebody else reports of a test for MSI on H&E slides, on which cohort and in which ``setting``. Not on our test."""

    name: str
    setting: str
    sensitivity: Span
    specificity: Span
    source: str


def _span(low: float, high: float | None = None) -> Span:
    return Span(low=low, high=low if high is None else high)


_DEEPATH = "npj Precision Oncology 2025: doi:10.1038/s41698-025-01094-2"
_CONCH = "Benchmarking pathology foundation models for predicting microsatellite instability in colorectal cancer histopathology"
_ON_PAIP = "compared with UNI and Virchow2; TCGA (n = 409), tested on PAIP; for pre-screening"

PUBLISHED_POINTS = (
    PublishedPoint(
        name="Deepath-MSI",
        setting="test set (AUROC 0.98), sensitivity set beforehand",
        sensitivity=_span(0.95),
        specificity=_span(0.92),
        source=_DEEPATH,
    ),
    PublishedPoint(
        name="Deepath-MSI",
        setting="real-world cohort",
        sensitivity=_span(0.95),
        specificity=_span(0.91),
        source=_DEEPATH,
    ),
    PublishedPoint(
        name="MSIntuit",
        setting="blind validation, every slide on two scanners (κ 0.82)",
        sensitivity=_span(0.96, 0.98),
        specificity=_span(0.46, 0.47),
        source="Nature Communications 2023: doi:10.1038/s41467-023-42453-6",
    ),
    PublishedPoint(
        name="PAICON",
        setting="five external cohorts, with a reject option: of the cases that it decides",
        sensitivity=_span(0.85, 1.0),
        specificity=_span(0.99, 1.0),
        source="medRxiv, November 2025: doi:10.1101/2025.11.14.25340218",
    ),
    PublishedPoint(name="CONCH", setting=_ON_PAIP, sensitivity=_span(0.90), specificity=_span(0.65), source=_CONCH),
    PublishedPoint(name="CONCH", setting=_ON_PAIP, sensitivity=_span(0.94), specificity=_span(0.45), source=_CONCH),
)
"""Facts §11, from abstracts; none comes with an interval."""


class PatientPredictionRow(Row):
    """One test patient: the label, the ensemble's probability, and its spread over the folds' models.

    ``slide_ids`` and ``slide_uris`` are those of the slides that the model pooled, in the same order, with ``;`` between them; a ``;``
    in a URI is written ``%3B``.
    """

    patient_id: str
    site: str
    slides: int
    label: int
    probability: Annotated[float, Field(ge=0, le=1)]
    fold_std: float
    predicted: int
    slide_ids: str
    slide_uris: str

    @property
    def where(self) -> list[tuple[str, str]]:
        """Each slide's id and where it lies."""
        return list(zip(self.slide_ids.split(SEPARATOR), self.slide_uris.split(SEPARATOR), strict=True))


class NotEvaluable(StrictJson):
    """A test patient without a slide that has features, and why."""

    patient_id: str
    label: Literal[0, 1]
    slides: Count
    reason: str


class TilesRead(StrictJson):
    """Tiles of the test patients' slides: those ``pooled`` by the model out of those ``with_tissue``, and ``failed`` to be decoded.

    ``sampled`` slides are those of which extraction took a sample (its ``max-tiles``). Null where a feature file does not say.
    """

    pooled: Count
    with_tissue: Count | None
    failed: Count | None
    sampled: Count | None


class ScaleRow(StrictJson):
    """Slides with features whose scale in µm/px has one ``source``, and the lowest and highest of them."""

    source: str
    slides: Count
    low: float
    high: float


class LossRow(StrictJson):
    """Slides without features, by what slides.csv says of them."""

    status: Literal["empty", "failed"]
    reason: str
    slides: Count


class SlideFigures(StrictJson):
    """What became of the slides of one side of the split: by scale, and by reason where they have no features.

    ``failed_tiles`` could not be decoded, on ``slides_with_failed_tiles`` slides that have features all the same.
    """

    slides: Count
    with_features: Count
    tiles: Count
    failed_tiles: Count
    slides_with_failed_tiles: Count
    scales: list[ScaleRow]
    losses: list[LossRow]


class EnsembleCalibration(StrictJson):
    """How probabilities were made of the mean of the folds' logits on one scale: ``intercept`` +
    ``slope`` · mean; the slope holds what ``averaging`` adds.

    ``floored``: out of fold, the logits did not tell the classes apart, so that probabilities say little.
    """

    slope: float
    intercept: float
    averaging: float
    floored: bool


class EnsembleIdentity(ModelIdentity):
    """``trained_on_this_cohort``: the cohort table is the one that the model was trained from, so that its split holds.

    ``epochs`` are those that the folds' models are from, counted from 1. ``calibration`` is null for models of before there was one.
    """

    folds: Count
    epochs: list[Count]
    labels: tuple[str, str]
    trained_on_this_cohort: bool
    out_of_fold_auroc: Bounds
    calibration: EnsembleCalibration | None


class MsiRegistry(RegistryFacts):
    """``tile`` is how the features that the model was trained on were cut, ``features`` their settings hash."""

    tile: RegistryText
    features: RegistryText
    aggregation: RegistryText


class MsiBlock(BinaryBlock):
    """``n`` test patients with ``slides`` in all, of which the model read ``tiles``; ``not_evaluable`` are in no number.

    ``flow`` is the whole cohort's, ``sides`` are the slides of train and test.
    """

    task: Literal["msi"]
    slides: Count
    tiles: TilesRead
    sides: dict[Literal["train", "test"], SlideFigures]
    not_evaluable: list[NotEvaluable]
    sites: list[SiteRow]
    flow: CohortFlow
    model: EnsembleIdentity
    registry: MsiRegistry


class MsiEvaluation(StrictJson):
    """The whole file."""

    binary_classification_metrics: BinaryClassificationMetrics
    pathology: MsiBlock
