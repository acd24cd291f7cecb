"""report.html of msi: what was tested, how sure the answer is, and what it must not be used for, in one self-contained file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pathology.contracts.binary import SITE_NEGATIVES, SITE_POSITIVES
from pathology.contracts.msi.evaluate import (
    PUBLISHED_POINTS,
    EnsembleCalibration,
    MsiBlock,
    MsiEvaluation,
    PatientPredictionRow,
    SlideFigures,
    TilesRead,
)
from pathology.report.binary import confident_mistakes, fill

TEMPLATE = Path(__file__).with_name("report.html.j2")

MISTAKES_SHOWN = 10
SCALES = {
    "cohort": "from the cohort table",
    "vendor": "from the scanner's own fields",
    "ome": "from OME-XML's physical size",
    "tiff": "from the TIFF's resolution",
    "objective": "guessed from the objective's power",
    "default": "the setting default-mpp",
}
"""Where a slide's scale was learnt, by its name in slides.csv."""
NAMES_SHOWN = 20
"""Slides of each loss that the cohort flow names."""

RESTS_ON = (
    "It holds for positives that come as those of the training set: same scanners, laboratories and spectrum of disease. And it takes the "
    "score of a training patient by the one fold's model that had not learnt from the patient to stand for the ensemble's: all were "
    "brought to one scale, and averaging pulls scores together, which in simulation is on the safe side (docs/statistics.md)."
)
SPARED = (
    "Confirmatory tests saved per 100",
    "A confirmatory test, by immunohistochemistry or PCR, is saved for each patient called negative, if all others get one.",
)


def render(evaluation: MsiEvaluation, predictions: Sequence[PatientPredictionRow]) -> str:
    """The page: text, tables and figures of ``evaluation``, drawn from ``predictions``."""
    block = evaluation.pathology
    mistakes = confident_mistakes(sorted(predictions, key=lambda row: row.patient_id), block.threshold)
    return fill(
        TEMPLATE,
        block,
        evaluation.binary_classification_metrics,
        predictions,
        labels=block.model.labels,
        unit=("patient", "patients"),
        chosen_on="training",
        task={
            "rests_on": RESTS_ON,
            "spared_words": SPARED,
            "probabilities_are": probabilities_in_words(block.model.calibration),
            "published_points": PUBLISHED_POINTS,
            "mistakes": mistakes[:MISTAKES_SHOWN],
            "mistake_count": len(mistakes),
            "names_shown": NAMES_SHOWN,
            "site_positives": SITE_POSITIVES,
            "site_negatives": SITE_NEGATIVES,
            "tiles": tiles_in_words(block.tiles),
            "slide_rows": slide_rows(block),
        },
    )


def probabilities_in_words(calibration: EnsembleCalibration | None) -> str:
    """How the ensemble's probabilities were made, from which follows what may be expected of them."""
    if calibration is None:
        return "Probabilities are the mean of the folds', not recalibrated: such a mean lies nearer to the middle than it may."
    if calibration.floored:
        return "Out of fold the logits told the classes hardly apart, so that probabilities say little."
    return (
        f"Probabilities were recalibrated on out-of-fold scores of the training patients: Platt's scaling, and its slope times "
        f"{calibration.averaging:.2f} for what averaging the folds' models takes from the spread. This test shows how far that holds."
    )


def tiles_in_words(tiles: TilesRead) -> str:
    """How much of the tissue the model saw, and what kept it from the rest."""
    if tiles.with_tissue is None:
        return f"{tiles.pooled:,} tiles"
    if tiles.pooled == tiles.with_tissue:
        return f"all {tiles.pooled:,} tissue tiles"
    reasons = []
    if tiles.sampled:
        reasons.append(f"of {_counted(tiles.sampled, 'slide')} a sample was taken")
    if tiles.failed:
        reasons.append(f"{_counted(tiles.failed, 'tile')} could not be decoded")
    return f"{tiles.pooled:,} of the {tiles.with_tissue:,} tissue tiles ({'; '.join(reasons)})"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def slide_rows(block: MsiBlock) -> list[tuple[str, str, str]]:
    """What became of the slides: a title, and what is so of train and of test; – where nothing is."""
    train, test = ({row[:2]: row[2] for row in _rows(block.sides[split])} for split in ("train", "test"))
    keys = sorted({**train, **test}, key=lambda key: key[0])  # stable: within a section as they come
    return [(key[1], train.get(key, "–"), test.get(key, "–")) for key in keys]


def _rows(side: SlideFigures) -> Iterator[tuple[int, str, str]]:
    """Section, title and value."""
    yield 0, "in the cohort", f"{side.slides:,}"
    yield 0, "with features", f"{side.with_features:,}"
    for row in side.losses:
        yield 1, f"{row.status}: {row.reason}" if row.reason else row.status, f"{row.slides:,}"
    yield 2, "tiles", f"{side.tiles:,}"
    if side.failed_tiles:
        yield 2, "tiles that could not be decoded", f"{side.failed_tiles:,} on {_counted(side.slides_with_failed_tiles, 'slide')}"
    for scale in side.scales:
        span = f"{scale.low:.4g}" if scale.low == scale.high else f"{scale.low:.4g} to {scale.high:.4g}"
        yield 3, f"scale {SCALES.get(scale.source, scale.source)}", f"{_counted(scale.slides, 'slide')}, {span} µm/px"
