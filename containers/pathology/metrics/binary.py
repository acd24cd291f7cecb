"""Scores of a binary classifier at a threshold, each with its interval, in the names of evaluation.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pathology.contracts.binary import (
    SITE_NEGATIVES,
    SITE_POSITIVES,
    BinaryClassificationMetrics,
    BinaryEvaluationSettings,
    CalibrationBin,
    OperatingRow,
    PrecisionRecallCurve,
    RocCurve,
    SiteRow,
)
from pathology.contracts.evaluation import Bounds, Measure
from pathology.contracts.intervals import (
    UNDEFINED,
    Interval,
    area_under_roc,
    drawn_within_classes,
    f_measure,
    mean_of_positives,
    mean_of_two,
    on_logit_scale,
    proportion,
)
from pathology.contracts.operating_points import SENSITIVITY, OperatingPoint
from pathology.metrics.calibration import calibration_intercept, calibration_slope
from pathology.metrics.decision_curve import decision_curve
from pathology.metrics.judged_points import judge, read_off
from pathology.metrics.ranking import average_precision, average_precisions, precision_recall_curve, roc_curve

CALIBRATION_BINS = 5
"""Few: a test set of some 80 patients leaves 16 in each, and fewer would show noise."""


@dataclass(frozen=True)
class Confusion:
    """Counts at a threshold."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int

    @classmethod
    def of(cls, truth: np.ndarray, predicted: np.ndarray) -> Confusion:
        """Count ``truth`` (n,) against ``predicted`` (n,), both 0 and 1."""
        cells = [int(np.sum((truth == actual) & (predicted == called))) for actual in (0, 1) for called in (0, 1)]
        return cls(*cells)


class Prediction(Protocol):
    """A row of predictions.csv of any task."""

    @property
    def label(self) -> int:
        """0 or 1, the truth."""

    @property
    def probability(self) -> float:
        """Of class 1."""


class Classifier(Protocol):
    """What a binary model's config.json says of its line."""

    @property
    def threshold(self) -> float:
        """On the probability of class 1."""

    @property
    def operating_points(self) -> tuple[OperatingPoint, ...]:
        """All thresholds that training chose."""


@dataclass(frozen=True)
class Scores:
    """Labels (n,), probabilities (n,) and the threshold; one entry is one patient, so that intervals are over patients."""

    truth: np.ndarray
    probability: np.ndarray
    threshold: float
    resamples: int
    confidence: float
    seed: int
    points: tuple[OperatingPoint, ...] = ()
    prevalences: tuple[float, ...] = ()

    @classmethod
    def of(cls, predictions: Sequence[Prediction], model: Classifier, settings: BinaryEvaluationSettings) -> Scores:
        """Of rows of predictions.csv."""
        return cls(
            truth=np.array([row.label for row in predictions]),
            probability=np.array([row.probability for row in predictions]),
            threshold=model.threshold,
            points=model.operating_points,
            prevalences=settings.prevalences,
            resamples=settings.resamples,
            confidence=settings.confidence,
            seed=settings.seed,
        )

    def block(self, intervals: dict[str, Interval]) -> dict[str, Any]:
        """What a binary classifier's block of evaluation.json holds of these scores, by field."""
        return {
            "n": len(self.truth),
            "positives": int(self.truth.sum()),
            "threshold": self.threshold,
            "confidence": self.confidence,
            "resamples": self.resamples,
            "seed": self.seed,
            "intervals": {name: Bounds.of(interval) for name, interval in intervals.items()},
            "interval_methods": {name: interval.method for name, interval in intervals.items()},
            "brier": self.brier(),
            "calibration": self.calibration(),
            "operating_points": self.operating_points(),
            "read_off": read_off(self.truth, self.probability, self._sensitivity()),
            "decision_curve": decision_curve(self.truth, self.probability, self.confidence),
        }

    def operating_points(self) -> list[OperatingRow]:
        """What each line that training drew did on these items, and would mean at the test's own and other fractions of positives."""
        prevalences = sorted({float(self.truth.mean()), *self.prevalences})
        return judge(self.points, self.threshold, self.truth, self.probability, prevalences, self.confidence)

    def _sensitivity(self) -> float:
        return next((point.sensitivity for point in self.points if point.sensitivity is not None), SENSITIVITY)

    @property
    def predicted(self) -> np.ndarray:
        """1 where the probability reaches the threshold, (n,)."""
        return (self.probability >= self.threshold).astype(int)

    def intervals(self) -> dict[str, Interval]:
        """Every measure by name, each by a method that covers at our sizes (docs/statistics.md).

        Raises:
            ValueError: when a class is absent.
        """
        cells = Confusion.of(self.truth, self.predicted)
        positives, negatives = int(self.truth.sum()), int((1 - self.truth).sum())
        called = cells.true_positives + cells.false_positives

        def fraction(successes: int, trials: int) -> Interval:
            return proportion(successes, trials, self.confidence)

        sensitivity, specificity = fraction(cells.true_positives, positives), fraction(cells.true_negatives, negatives)
        mistakes = (cells.false_positives, cells.false_negatives)
        return {
            "auroc": area_under_roc(self.truth, self.probability, self.confidence),
            "average_precision": self._average_precision(positives),
            "accuracy": fraction(cells.true_positives + cells.true_negatives, len(self.truth)),
            "balanced_accuracy": mean_of_two(sensitivity, specificity),
            "sensitivity": sensitivity,
            "specificity": specificity,
            "false_positive_rate": fraction(cells.false_positives, negatives),
            "false_negative_rate": fraction(cells.false_negatives, positives),
            "precision": self._predictive(cells.true_positives, called),
            "npv": self._predictive(cells.true_negatives, len(self.truth) - called),
            **{
                f"f{name}": f_measure(cells.true_positives, *mistakes, beta, self.confidence)
                for name, beta in (("0_5", 0.5), ("1", 1.0), ("2", 2.0))
            },
            "brier": mean_of_positives(self.truth, (self.probability - self.truth) ** 2, self.confidence),
            **self._calibration(),
        }

    def _calibration(self) -> dict[str, Interval]:
        found = {
            "calibration_intercept": calibration_intercept(self.truth, self.probability, self.confidence),
            "calibration_slope": calibration_slope(self.truth, self.probability, self.confidence),
        }
        return {name: interval for name, interval in found.items() if interval is not None}

    def _predictive(self, right: int, called: int) -> Interval:
        """Of those called so, the fraction that is; undefined where nothing is called so, which 0 with the widest interval says."""
        if not called:
            return Interval(0.0, 0.0, 1.0, 0.0, self.confidence, UNDEFINED)
        return proportion(right, called, self.confidence)

    def _average_precision(self, positives: int) -> Interval:
        weights = drawn_within_classes(self.truth, self.resamples, self.seed)
        draws = average_precisions(self.truth, self.probability, weights)
        return on_logit_scale(average_precision(self.truth, self.probability), draws, positives, self.confidence)

    def metrics(self, intervals: dict[str, Interval]) -> BinaryClassificationMetrics:
        """Studio's block from the intervals of :meth:`intervals`."""
        measures = {name: Measure.of(interval) for name, interval in intervals.items()}
        cells = Confusion.of(self.truth, self.predicted)
        false_rates, true_rates = roc_curve(self.truth, self.probability)
        precisions, recalls = precision_recall_curve(self.truth, self.probability)
        return BinaryClassificationMetrics(
            confusion_matrix={
                "0": {"0": cells.true_negatives, "1": cells.false_positives},
                "1": {"0": cells.false_negatives, "1": cells.true_positives},
            },
            recall=measures["sensitivity"],
            precision=measures["precision"],
            accuracy=measures["accuracy"],
            balanced_accuracy=measures["balanced_accuracy"],
            true_positive_rate=measures["sensitivity"],
            true_negative_rate=measures["specificity"],
            false_positive_rate=measures["false_positive_rate"],
            false_negative_rate=measures["false_negative_rate"],
            f0_5=measures["f0_5"],
            f1=measures["f1"],
            f2=measures["f2"],
            auc=measures["auroc"],
            receiver_operating_characteristic_curve=RocCurve(
                false_positive_rates=false_rates.tolist(), true_positive_rates=true_rates.tolist()
            ),
            precision_recall_curve=PrecisionRecallCurve(precisions=precisions.tolist(), recalls=recalls.tolist()),
        )

    def brier(self) -> float:
        """Mean squared difference of probability and outcome (Brier 1950); 0 is perfect."""
        return float(np.mean((self.probability - self.truth) ** 2))

    def calibration(self) -> list[CalibrationBin]:
        """Groups of nearly equal size by predicted probability, lowest first."""
        order = np.argsort(self.probability, kind="stable")
        bins = []
        for members in np.array_split(order, min(CALIBRATION_BINS, len(order))):
            positives = int(self.truth[members].sum())
            bins.append(
                CalibrationBin(
                    n=len(members),
                    positives=positives,
                    mean_probability=float(self.probability[members].mean()),
                    observed=Bounds.of(proportion(positives, len(members), self.confidence)),
                )
            )
        return bins

    def by_site(self, sites: Iterable[str]) -> list[SiteRow]:
        """One row a site, largest first; an AUROC, with its interval, only where its coverage is known for as few patients."""
        names = np.array(list(sites), dtype=object)
        rows = []
        for site in sorted(set(names)):
            here = names == site
            truth, cells = self.truth[here], Confusion.of(self.truth[here], self.predicted[here])
            positives, negatives = int(truth.sum()), int((1 - truth).sum())
            interval = None
            if positives >= SITE_POSITIVES and negatives >= SITE_NEGATIVES:
                interval = area_under_roc(truth, self.probability[here], self.confidence)
            rows.append(
                SiteRow(
                    site=site,
                    n=len(truth),
                    positives=positives,
                    found=cells.true_positives,
                    right=cells.true_negatives,
                    auroc=Bounds.of(interval) if interval else None,
                )
            )
        return sorted(rows, key=lambda row: (-row.n, row.site))
