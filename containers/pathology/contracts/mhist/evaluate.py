"""EvaluateMhist's hyperparameters, predictions.csv and evaluation.json: Studio's metrics, and a block on patches and annotators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pathology.contracts.binary import BinaryBlock, BinaryClassificationMetrics, BinaryEvaluationSettings
from pathology.contracts.evaluation import Bounds, Comparison, Count, ModelIdentity, Probability, Published
from pathology.contracts.fine_tuning import FineTuning
from pathology.contracts.patches import PatchPredictionRow
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import OptionalInt


class EvaluateMhist(BinaryEvaluationSettings):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patches."""


class MhistPredictionRow(PatchPredictionRow):
    """One test patch, the annotators' votes for class 1, None where the table does not say, and its group, such as its slide."""

    votes: OptionalInt
    group: str


PublishedMeasure = Literal["balanced_accuracy", "accuracy", "auroc"]
PublishedResult = Published[PublishedMeasure]
"""Of MHIST's own test partition."""


PUBLISHED_TEST = (617, 360)
"""HP and SSA in MHIST's own test partition (Wei et al. 2021)."""
MPP = 2.0
"""µm/px, about: 5× of a scanner's 40× (Wei et al. 2021)."""
PATCH_NAME = r"MHIST_[a-z]{3}\.png"
"""How MHIST names its patches."""
UNIT = "patch"
_PROBE = "frozen encoder, linear probe"
_EVA = "eva leaderboard, mean of 5 runs: https://kaiko-ai.github.io/eva/main/leaderboards"

PUBLISHED_RESULTS = (
    PublishedResult(model="Virchow2", how=_PROBE, unit=UNIT, measure="balanced_accuracy", value=0.861, source=_EVA),
    PublishedResult(model="H-optimus-0", how=_PROBE, unit=UNIT, measure="balanced_accuracy", value=0.843, source=_EVA),
    PublishedResult(model="UNI", how=_PROBE, unit=UNIT, measure="balanced_accuracy", value=0.843, source=_EVA),
    PublishedResult(model="GigaPath", how=_PROBE, unit=UNIT, measure="balanced_accuracy", value=0.829, source=_EVA),
    PublishedResult(
        model="H-optimus-0",
        how=_PROBE,
        unit=UNIT,
        measure="accuracy",
        value=0.828,
        source="Bioptimus, at the release of H-optimus-0",
    ),
    PublishedResult(
        model="ResNet-18",
        how="ImageNet weights, fine-tuned",
        unit=UNIT,
        measure="auroc",
        value=0.927,
        source="Wei et al. 2021, A Petri Dish for Histopathology Image Analysis (MHIST)",
    ),
)
"""Facts §2. Nobody publishes an interval with them, so that only ours can say what 977 patches tell apart."""


class EvaRunReport(StrictJson):
    """One run: its seed, the epoch that did best on the test patches, and the balanced accuracy there."""

    seed: Count
    epoch: Count
    balanced_accuracy: Probability


class EvaReport(StrictJson):
    """Of a model that was trained by eva's protocol: settings, on how many ``patches``, its ``runs`` and their mean.

    ``departures`` say in words where the run did not follow the protocol, ``remarks`` what is otherwise without departing from it.
    ``published`` is eva's own figure for this encoder, where the run followed the protocol and eva has one.
    """

    steps: Count
    batch_size: Count
    learning_rate: float
    weight_decay: float
    patience: Count
    patches: Count
    runs: list[EvaRunReport]
    mean: Probability
    departures: list[str]
    remarks: list[str]
    published: Probability | None


CHOSEN_ON_ITS_TEST = "eva chooses the epoch on the test"
CHOSEN_ON_THE_TEST_HERE = "here the epoch was chosen on the test"


def by_protocol(rows: Sequence[Comparison[PublishedMeasure]], eva: EvaReport | None) -> list[Comparison[PublishedMeasure]]:
    """``rows`` with no word on who is better where one side chose its epoch on the test patches and the other did not."""
    found = []
    for row in rows:
        reason = ""
        if row.published.source == _EVA and (eva is None or eva.departures):
            reason = CHOSEN_ON_ITS_TEST if eva is None else "not by eva's protocol in all"
        elif row.published.source != _EVA and eva is not None:
            reason = CHOSEN_ON_THE_TEST_HERE
        held = row.standing is not None and reason
        found.append(row.model_copy(update={"standing": None, "incomparable": reason}) if held else row)
    return found


def eva_published(encoder: str) -> float | None:
    """eva's balanced accuracy for an encoder of this name."""
    return next(
        (row.value for row in PUBLISHED_RESULTS if row.source == _EVA and row.model.casefold() == encoder.casefold()), None
    )


class ClassAccuracy(StrictJson):
    """Patches of one class, and the fraction of them called right with its Wilson interval; null where there are none."""

    n: Count
    accuracy: Bounds | None


class AgreementRow(StrictJson):
    """Test patches on whose class ``agreement`` of the 7 annotators agreed, by true class in the order of the labels."""

    agreement: Literal[4, 5, 6, 7]
    n: Count
    accuracy: Bounds | None
    classes: tuple[ClassAccuracy, ClassAccuracy]


class ValidationReport(StrictJson):
    """How training ended on the validation patches, on which epoch and threshold were chosen."""

    patches: Count
    positives: Count
    accuracy: Probability
    auroc: Probability


class MhistModelIdentity(ModelIdentity):
    """``trained_on_these_patches``: patches.csv is the table that the model was trained from, so that its split holds."""

    labels: tuple[str, str]
    fine_tuning: FineTuning
    trained_on_these_patches: bool
    validation: ValidationReport


class MhistBlock(BinaryBlock):
    """``published_partition``: the test patches have the numbers of either class and the names of MHIST's own test partition.

    Without that ``published`` compares unlike things; of another table than MHIST's it is empty. So is ``agreement`` where the table
    has no votes; else ``annotators`` voted on each patch. ``eva`` is null of a model that was not trained by that protocol.
    """

    task: Literal["mhist"]
    annotators: Count
    agreement: list[AgreementRow]
    published: list[Comparison[PublishedMeasure]]
    published_partition: bool
    eva: EvaReport | None = None
    model: MhistModelIdentity


class MhistEvaluation(StrictJson):
    """The whole file."""

    binary_classification_metrics: BinaryClassificationMetrics
    pathology: MhistBlock
