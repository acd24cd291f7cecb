"""report.html of mhist: what was tested, how sure the answer is, how it stands to published work, and its mistakes as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathology.contracts.mhist.evaluate import MPP, MhistEvaluation, MhistPredictionRow
from pathology.contracts.mhist.patches import SIDE
from pathology.report.binary import confident_mistakes, fill
from pathology.report.page import png_uri
from pathology.report.scale import ScaleBar, scale_bar

TEMPLATE = Path(__file__).with_name("report.html.j2")

MISTAKES_SHOWN = 12
"""Pictures of some 100 kB each, which a page of 2 MB can carry."""

MEASURE_NAMES = {"balanced_accuracy": "Balanced accuracy", "accuracy": "Accuracy", "auroc": "AUROC"}
FINE_TUNING_WORDS = {
    "linear": "a linear probe on the frozen encoder",
    "lora": "a linear head, trained together with low-rank adapters in the encoder",
    "last-blocks": "a linear head, trained together with the encoder's last blocks",
    "full": "a linear head, trained together with the whole encoder",
}

RESTS_ON = (
    "It holds for positive patches that come as those of the validation side: same scanners, laboratories and range of lesions. It counts "
    "patches as if each were of another slide; where several are of one, it promises more than it can keep."
)
EPOCH_TOO = (
    " The epoch whose weights are kept was chosen on the same patches: their scores are too good, and the promise with them."
)
PROBABILITIES = "Probabilities are the head's own, as trained; nothing recalibrated them afterwards."


@dataclass(frozen=True)
class Mistake:
    """A patch called wrong, its picture as a ``data:`` URI, and the bar of its scale where that is known."""

    row: MhistPredictionRow
    picture: str
    bar: ScaleBar | None


def render(evaluation: MhistEvaluation, predictions: Sequence[MhistPredictionRow], picture: Callable[[str], np.ndarray]) -> str:
    """The page: text, tables and figures of ``evaluation``, drawn from ``predictions``.

    ``picture`` gives an image's pixels by name, (H, W, 3) uint8 RGB; it is asked for the mistakes shown only.
    """
    block = evaluation.pathology
    mistakes = confident_mistakes(sorted(predictions, key=lambda row: row.image), block.threshold)
    return fill(
        TEMPLATE,
        block,
        evaluation.binary_classification_metrics,
        predictions,
        labels=block.model.labels,
        unit=("patch", "patches"),
        chosen_on="validation",
        task={
            "rests_on": RESTS_ON + ("" if block.model.fine_tuning == "linear" else EPOCH_TOO),
            "probabilities_are": PROBABILITIES,
            "mistakes": [mistake(row, picture(row.image), block.published_partition) for row in mistakes[:MISTAKES_SHOWN]],
            "mpp": MPP,
            "mistake_count": len(mistakes),
            "measure_names": MEASURE_NAMES,
            "fine_tuned": FINE_TUNING_WORDS[block.model.fine_tuning],
        },
    )


def mistake(row: MhistPredictionRow, pixels: np.ndarray, of_mhist: bool) -> Mistake:
    """``row`` with its picture (H, W, 3) uint8; only MHIST's own patches are known to have MHIST's scale."""
    return Mistake(row, png_uri(pixels), scale_bar(SIDE, MPP, about=True) if of_mhist else None)
