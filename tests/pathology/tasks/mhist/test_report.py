"""mhist's page: one file that needs nothing, mistakes as pictures, honest about what may be compared."""

import base64
import io

import numpy as np
import pytest
from named_encoders import BY_HAND, H_OPTIMUS_0
from pages import Page
from pathology.contracts.evaluation import Bounds, EncoderReport, RegistryFacts, Seen, compare
from pathology.contracts.mhist.evaluate import (
    PUBLISHED_RESULTS,
    MhistBlock,
    MhistEvaluation,
    MhistModelIdentity,
    MhistPredictionRow,
    ValidationReport,
)
from pathology.metrics.binary import Scores
from pathology.tasks.mhist.agreement import by_agreement
from PIL import Image

SIDE = 32


def rows(count: int = 120, noise: float = 0.25) -> list[MhistPredictionRow]:
    """Predictions that follow the votes, with ``noise``; every name needs escaping in HTML."""
    generator = np.random.default_rng(0)
    predictions = []
    for number in range(count):
        votes = int(generator.integers(0, 8))
        probability = float(np.clip(votes / 7 + generator.normal(0, noise), 0, 1))
        predictions.append(
            MhistPredictionRow(
                image=f"<b>{number:03d}&.png",
                label=int(votes >= 4),
                votes=votes,
                probability=probability,
                predicted=int(probability >= 0.5),
            )
        )
    return predictions


def evaluation(predictions: list[MhistPredictionRow], published_partition: bool = True, **block) -> MhistEvaluation:
    """The evaluation that belongs to ``predictions``."""
    truth = np.array([row.label for row in predictions])
    scores = Scores(truth, np.array([row.probability for row in predictions]), 0.5, 100, 0.95, 0)
    intervals = scores.intervals()
    values = {
        "task": "mhist",
        "seen": Seen(unit="patches", test_items=len(truth), seen=0, names=[]),
        "n": len(truth),
        "positives": int(truth.sum()),
        "threshold": 0.5,
        "confidence": 0.95,
        "resamples": 100,
        "seed": 0,
        "intervals": {name: Bounds.of(interval) for name, interval in intervals.items()},
        "brier": scores.brier(),
        "calibration": scores.calibration(),
        "agreement": by_agreement(truth, np.array([row.votes for row in predictions]), scores.predicted, 0.95),
        "published": compare(PUBLISHED_RESULTS, intervals),
        "published_partition": published_partition,
        "model": MhistModelIdentity(
            archive_sha256="a" * 64,
            config_sha256="b" * 64,
            version="b" * 12,
            labels=("HP", "SSA"),
            fine_tuning="lora",
            trained_on_these_patches=True,
            validation=ValidationReport(patches=30, positives=10, accuracy=0.8, auroc=0.9),
            serving_code="c" * 16,
            evaluated_with_code="c" * 16,
        ),
        "encoder": EncoderReport.of(H_OPTIMUS_0),
        "data": {"patches_sha256": "e" * 64},
        "warnings": [],
        "registry": RegistryFacts(labels="SSA:HP"),
        **block,
    }
    return MhistEvaluation(binary_classification_metrics=scores.metrics(intervals), pathology=MhistBlock(**values))


def picture(image: str) -> np.ndarray:
    """A picture that tells its image by its colour."""
    return np.full((SIDE, SIDE, 3), int(image[3:6]), np.uint8)


PREDICTIONS = rows()
WRONG = [row for row in PREDICTIONS if row.predicted != row.label]


@pytest.fixture(scope="module")
def source():
    """The page of :data:`PREDICTIONS`."""
    from pathology.tasks.mhist.report import render

    return render(evaluation(PREDICTIONS), PREDICTIONS, picture)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_the_worst_mistakes_are_shown_as_pictures_of_themselves(page):
    from pathology.tasks.mhist.report import MISTAKES_SHOWN

    assert len(WRONG) > MISTAKES_SHOWN
    pictures = [item.partition(",")[2] for item in page.references if item.startswith("data:image/png;base64,")]
    worst = sorted(WRONG, key=lambda row: (-abs(row.probability - 0.5), row.image))[:MISTAKES_SHOWN]
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) for content in pictures]
    assert [int(pixels[0, 0, 0]) for pixels in shown] == [int(row.image[3:6]) for row in worst]
    assert all(pixels.shape == (SIDE, SIDE, 3) for pixels in shown)
    assert (
        f"{len(WRONG)} of 120 patches were called wrong; the {MISTAKES_SHOWN} farthest from the threshold are shown" in page.text
    )
    for row in worst:
        assert f"{row.image} is {('HP', 'SSA')[row.label]}, called {('HP', 'SSA')[row.predicted]}" in page.text
        assert f"probability of SSA {row.probability:.3f} {row.votes} of 7 annotators said SSA" in page.text


def test_it_needs_nothing_from_outside(source, page):
    from pathology.tasks.mhist.report import render

    assert all(item.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,")) for item in page.references)
    assert sum(item.startswith("data:image/svg+xml") for item in page.references) == 4
    assert "url(" not in source and "@import" not in source and "<script" not in source
    assert source == render(evaluation(PREDICTIONS), PREDICTIONS, picture)


def test_numbers_stand_beside_the_published_and_by_agreement(page):
    block = evaluation(PREDICTIONS).pathology
    measured = block.intervals["balanced_accuracy"]
    assert f"Virchow2 frozen encoder, linear probe Balanced accuracy 0.861 {measured.value:.3f}" in page.text
    assert "ResNet-18 ImageNet weights, fine-tuned AUROC 0.927" in page.text
    assert "Not comparable" not in page.text
    for row in block.agreement:
        assert f"{row.agreement} of 7 {row.n} {row.accuracy.value:.3f}" in page.text


def test_another_test_set_is_not_compared():
    from pathology.tasks.mhist.report import render

    text = Page(render(evaluation(PREDICTIONS, published_partition=False), PREDICTIONS, picture)).text
    assert "Not comparable: the published figures are on MHIST's own test partition" in text
    assert "not told apart" not in text


def test_no_mistake_and_empty_rows_of_the_table_are_said():
    from pathology.tasks.mhist.report import render

    perfect = [
        row.model_copy(update={"votes": 7 * row.label, "predicted": row.label, "probability": float(row.label)})
        for row in PREDICTIONS
    ]
    page = Page(render(evaluation(perfect), perfect, picture))
    assert "No test patch was called wrong." in page.text
    assert "4 of 7 0 – – 0 – 0 –" in page.text
    assert not any(item.startswith("data:image/png") for item in page.references)


def test_a_picture_carries_pixels_and_nothing_else():
    from pathology.report.page import png_uri

    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    uri = png_uri(pixels)
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert (np.asarray(image) == pixels).all() and not image.info


def test_an_encoder_that_a_person_named_is_called_so_in_its_row(page):
    from pathology.tasks.mhist.report import render

    assert f"h-optimus-0 verified: bioptimus/H-optimus-0 at {H_OPTIMUS_0.source.revision}" in page.text
    named = Page(render(evaluation(PREDICTIONS, encoder=EncoderReport.of(BY_HAND)), PREDICTIONS, picture)).text
    assert "our-own (not verified: named by hand)" in named and "placeholder" not in named
