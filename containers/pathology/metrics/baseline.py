"""What a fitted baseline reaches on the test items of a model, beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Baseline, Bounds, standing
from pathology.contracts.intervals import Interval, area_under_roc, mean_of_two, proportion
from pathology.metrics.binary import Confusion
from pathology.training.baseline import BaselineKind, FittedBaseline


def baseline_line(baseline: Baseline | None) -> str:
    """What the log says of it."""
    if baseline is None:
        return "baseline: none in this artefact"
    value = baseline.intervals[baseline.measure]
    return (
        f"baseline ({baseline.name}): {baseline.measure} {value.value:.3f} ({value.low:.3f} to {value.high:.3f}) on the same test; "
        f"the model's interval against it: {baseline.standing}"
    )


def score_baseline(
    fitted: FittedBaseline | None,
    kind: BaselineKind,
    features: Callable[[], np.ndarray],
    truth: np.ndarray,
    model: Mapping[str, Interval],
    confidence: float,
) -> Baseline | None:
    """What ``fitted`` reaches on the test items; None where the artefact has none.

    ``features`` gives what ``kind`` takes of each of them, (n, D); ``truth`` (n,) is 0 or 1; ``model`` are the model's own intervals on
    the same items.

    Raises:
        DataError: when the baseline was fitted on something else than ``kind`` and ``features`` are.
        ValueError: when a class is absent.
    """
    if fitted is None:
        return None
    taken = features()
    if (fitted.kind, len(fitted.weight)) != (kind.name, taken.shape[1]):
        raise DataError(
            f"the artefact's baseline takes {fitted.kind}, {len(fitted.weight)} numbers, and this code makes {kind.name}, "
            f"{taken.shape[1]}: evaluate with the code that trained, or train again"
        )
    probability = fitted.probabilities(taken)
    positives, negatives = int(truth.sum()), int((1 - truth).sum())
    cells = Confusion.of(truth, (probability >= fitted.threshold).astype(int))
    sensitivity = proportion(cells.true_positives, positives, confidence)
    specificity = proportion(cells.true_negatives, negatives, confidence)
    area = area_under_roc(truth, probability, confidence)
    intervals = {
        "auroc": area,
        "balanced_accuracy": mean_of_two(sensitivity, specificity),
        "sensitivity": sensitivity,
        "specificity": specificity,
    }
    return Baseline(
        name=kind.name,
        words=kind.words,
        chosen=kind.chosen,
        fitted_on=fitted.items,
        positives=fitted.positives,
        threshold=fitted.threshold,
        intervals={name: Bounds.of(interval) for name, interval in intervals.items()},
        interval_methods={name: interval.method for name, interval in intervals.items()},
        measure="auroc",
        standing=standing(model["auroc"], area.value),
    )
