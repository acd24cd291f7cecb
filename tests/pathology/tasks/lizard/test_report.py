"""lizard's page: one file that needs nothing, outlines over the patches they are of, honest about what may be compared."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from named_encoders import H_OPTIMUS_0
from pages import Page, trained
from pathology.contracts.evaluation import Bounds, EncoderReport, Measure, RegistryFacts, Seen, estimate
from pathology.contracts.intervals.clusters import NO_INTERVAL, OF_CLUSTERS
from pathology.contracts.lizard.evaluate import (
    BaselineClass,
    ClassRow,
    Confusion,
    LizardBlock,
    LizardEvaluation,
    MulticlassClassificationMetrics,
    NucleiBaseline,
    NucleiModelIdentity,
    NucleiValidation,
)
from pathology.contracts.lizard.published import beside_published
from pathology.metrics.panoptic import PatchScore, detect
from pathology.tasks.lizard.rows import patch_rows
from pathology.tasks.lizard.scores import NucleiScores
from PIL import Image

if TYPE_CHECKING:
    from pathology.tasks.lizard.report import Example

SIDE = 48
CLASSES = ("<round>", "oval & flat", "rare")  # names need escaping in HTML; the last is nowhere


def square(labels: np.ndarray, number: int, kind: int, top: int, left: int, side: int = 8) -> None:
    """Draw a nucleus."""
    labels[top : top + side, left : left + side] = number, kind


class Made(NamedTuple):
    """A patch (SIDE, SIDE, 3), its true and its predicted labels (SIDE, SIDE, 2)."""

    image: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


def made(number: int) -> Made:
    """A patch of the colour ``number`` with two true nuclei: the first is found, moved by ``number`` px, the second by even ones.

    Every third prediction has the wrong class; from the fourth on one nucleus is made up.
    """
    true, predicted = np.zeros((2, SIDE, SIDE, 2), np.uint16)
    square(true, 1, 1, 10, 10)
    square(true, 2, 2, 30, 30)
    square(predicted, 1, 2 if number % 3 == 0 else 1, 10, 10 + number % 4)
    if number % 2 == 0:
        square(predicted, 2, 2, 30, 30)
    if number > 3:
        square(predicted, 3, 1, 40, 2, side=6)
    return Made(np.full((SIDE, SIDE, 3), number, np.uint8), true, predicted)


def name_of(number: int) -> str:
    """Of a patch: each is of a source image of its own, of which there are enough for intervals."""
    return f"crag_{number}-{number:04d}"


MADE = {name_of(number): made(number) for number in range(20)}
ROWS = [
    row for name, item in MADE.items() for row in patch_rows(name, name.partition("-")[0], item.true, item.predicted, CLASSES)
]


def example(name: str) -> Example:
    """A patch as the report asks for it."""
    from pathology.tasks.lizard.report import Example

    return Example(*MADE[name])


COUNTS = ("true", "predicted", "true_central", "predicted_central", "count_error")


def simple(scores: NucleiScores) -> NucleiBaseline:
    """A baseline that is better than the model by Dice, worse by bPQ, and not told apart by all else."""
    value = {name: measured.value for name, measured in scores.intervals.items()}
    return NucleiBaseline(
        words="Something <simple>",
        fitted_patches=1234,
        fitted_sources=56,
        threshold=0.1,
        nucleus_class=CLASSES[0],
        intervals={
            name: Bounds(value=each * {"bpq": 0.5, "dice": 1.1}.get(name, 1), low=0, high=1) for name, each in value.items()
        },
        standing={**dict.fromkeys(value, "within"), "bpq": "higher", "dice": "lower", "r2": None},
        classes=[BaselineClass(name=name, count_error=4.5, r2=None) for name in CLASSES],
    )


def evaluation(rows=ROWS, examples=MADE, published_partition: bool = True, **block) -> LizardEvaluation:
    """The evaluation that belongs to ``rows``."""
    scores = NucleiScores.of(rows, CLASSES, resamples=100, confidence=0.95, seed=0)
    detections = [detect(item.true, item.predicted, len(CLASSES)) for item in examples.values()]
    matched, false_negatives, false_positives = (
        sum(getattr(each, name) for each in detections).tolist() for name in ("confusion", "false_negatives", "false_positives")
    )
    measure = Measure(value=0.5, standard_deviation=0.1)
    names = [name for name in MulticlassClassificationMetrics.model_fields if name != "confusion_matrix"]
    values = {
        "task": "lizard",
        "seen": Seen(unit="patches", test_items=scores.patches, seen=0, names=[]),
        "n": scores.patches,
        "side": SIDE,
        "central": SIDE,
        "sources": scores.sources,
        "nuclei": sum(of_class.true for of_class in scores.by_class.values()),
        "predicted": sum(of_class.predicted for of_class in scores.by_class.values()),
        "empty_patches": scores.empty_patches,
        "confidence": 0.95,
        "resamples": 100,
        "seed": 0,
        "intervals": {name: estimate(interval) for name, interval in scores.intervals.items()},
        "images": {name: estimate(interval) for name, interval in scores.by_image.items()},
        "baseline": simple(scores),
        "interval_methods": {name: interval.method for name, interval in scores.intervals.items()},
        "classes": [
            ClassRow(
                name=name,
                **{count: getattr(of_class, count) for count in COUNTS},
                **{
                    measure: estimate(measured) if (measured := getattr(of_class, measure)) else None
                    for measure in ("pq", "dq", "sq", "f1", "centroid_f1", "centroid_f1_6", "r2")
                },
            )
            for name, of_class in scores.by_class.items()
        ],
        "confusion": Confusion(
            classes=CLASSES, matched=matched, false_negatives=false_negatives, false_positives=false_positives
        ),
        "published": beside_published(scores.intervals, scores.by_image, "256 px patch", published_partition),
        "published_partition": published_partition,
        "model": NucleiModelIdentity(
            archive_uri="s3://bucket/model.tar.gz",
            archive_sha256="a" * 64,
            config_sha256="b" * 64,
            version="b" * 12,
            classes=CLASSES,
            mpp=0.5,
            fine_tuning="lora",
            trained_on_these_patches=True,
            validation=NucleiValidation(patches=30, loss=1.0, iou=0.6, dice=0.75, pq=0.55, epoch=3),
            serving_code="c" * 16,
            evaluated_with_code="c" * 16,
            training=trained(),
        ),
        "encoder": EncoderReport.of(H_OPTIMUS_0),
        "computed_by": None,
        "data_uris": {name: f"s3://bucket/{name}" for name in ("patches", "images", "labels")},
        "data": {name: name[0] * 64 for name in ("patches_sha256", "images_sha256", "labels_sha256")},
        "warnings": [],
        "registry": RegistryFacts(labels="a:b"),
        **block,
    }
    studio = MulticlassClassificationMetrics(confusion_matrix={"1": {"1": 1}}, **dict.fromkeys(names, measure))
    return LizardEvaluation(multiclass_classification_metrics=studio, pathology=LizardBlock(**values))


@pytest.fixture(scope="module")
def source():
    """The page of :data:`ROWS`."""
    from pathology.tasks.lizard.report import render

    return render(evaluation(), ROWS, example)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def pictures(source: str) -> list[np.ndarray]:
    """The pixels of the patches shown, in order."""
    contents = re.findall(r'<image id="patch-\d+" href="data:image/png;base64,([^"]+)"', source)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) for content in contents]


def quality(number: int) -> float:
    """PQ of a made patch, worked out by hand: 8×8 px moved by d share 8·(8 − d) of 8·(8 + d)."""
    moved = number % 4
    iou = (8 - moved) / (8 + moved)
    ious = [iou] * (iou > 0.5) + [1.0] * (number % 2 == 0)
    true, predicted, tp = 2, 1 + (number % 2 == 0) + (number > 3), len(ious)
    return sum(ious) / (tp + (predicted - tp) / 2 + (true - tp) / 2)


def test_the_best_the_median_and_the_worst_are_shown_as_pictures_of_themselves(source, page):
    ranked = sorted(range(20), key=lambda number: (-quality(number), name_of(number)))
    wanted = [*ranked[:2], *ranked[9:11], ranked[-1], ranked[-2]]
    assert [int(pixels[0, 0, 0]) for pixels in pictures(source)] == wanted
    assert all(pixels.shape == (SIDE, SIDE, 3) for pixels in pictures(source))
    for rank, number in zip(("Best", "Best", "Median", "Median", "Worst", "Worst"), wanted, strict=True):
        assert f"{rank}: PQ {quality(number):.3f}" in page.text
        assert f"crag_{number}-{number:04d}, source image crag_{number}" in page.text


def test_both_sides_say_what_has_no_counterpart(source):
    from pathology.tasks.lizard.report import picture

    row = next(row for row in ROWS if row.patch == "crag_5-0005" and row.class_name == "all")
    shown = picture(row, "worst", example("crag_5-0005"), len(CLASSES), 0.5)
    truth, model = shown.sides
    assert truth.words == "2 nuclei, 1 of them missed (dashed)" and model.words == "2 outlines, 1 of them of no nucleus (dashed)"
    assert [item.dashed for item in truth.outlines] == [False, True] == [item.dashed for item in model.outlines]
    assert shown.wrong == 0 and picture(row, "worst", example("crag_0-0000"), len(CLASSES), 0.5).wrong == 1
    assert 'role="img" aria-label="Truth of patch crag_' in source and 'stroke-dasharray="3 2"' in source


def test_of_a_large_patch_the_middle_is_shown():
    from pathology.tasks.lizard.report import SHOWN_SIDE, Example, picture

    side = SHOWN_SIDE + 64
    image = np.zeros((side, side, 3), np.uint8)
    image[32, 32] = 9
    labels = np.zeros((side, side, 2), np.uint16)
    square(labels, 1, 1, 0, 0)
    square(labels, 2, 1, 40, 50)
    row = patch_rows("a-1", "a", labels, labels, CLASSES)[-1]
    shown = picture(row, "best", Example(image, labels, labels), len(CLASSES), 0.5)
    assert shown.side == SHOWN_SIDE and [item.path for item in shown.sides[0].outlines] == ["M18 8h8v8h-8z"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.uri.partition(",")[2]))))
    assert pixels.shape == (SHOWN_SIDE, SHOWN_SIDE, 3) and pixels[0, 0].tolist() == [9, 9, 9]


@pytest.mark.parametrize(
    ("count", "ranks"), [(0, ""), (1, "b"), (2, "bw"), (3, "bmw"), (5, "bmw"), (6, "bbmmww"), (10, "bbmmww")]
)
def test_no_patch_is_shown_twice(count, ranks):
    from pathology.tasks.lizard.report import chosen

    rows = [row for row in ROWS if row.class_name == "all"][:count]
    empty = rows[0].model_copy(update={"patch": "empty-0", "tp": 0, "fp": 0, "fn": 0, "iou_sum": 0.0}) if rows else None
    shown = chosen([*rows, *([empty] if empty else [])])
    assert [rank[0] for rank, _ in shown] == list(ranks)
    assert len({row.patch for _, row in shown}) == len(shown) and "empty-0" not in {row.patch for _, row in shown}
    by_rank = {rank: PatchScore(row.tp, row.fp, row.fn, row.iou_sum).pq for rank, row in shown}
    assert list(by_rank.values()) == sorted(by_rank.values(), reverse=True)


def test_it_needs_nothing_from_outside(source, page):
    from pathology.tasks.lizard.report import render

    assert all(item.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,", "#patch-")) for item in page.references)
    assert "url(" not in source and "@import" not in source and page.scripts == 1 and "<round>" not in source
    assert len(source) < 3_000_000
    assert source == render(evaluation(), ROWS, example)
    ids, used = (re.findall(pattern, source) for pattern in (r'id="(patch-\d+)"', r'href="#(patch-\d+)"'))
    assert len(ids) == len(set(ids)) and sorted(used) == sorted(ids * 2)


def test_pictures_and_tables_can_be_read_aloud(source):
    assert all('alt="' in tag for tag in re.findall(r"<img [^>]*>", source))
    counts = re.findall(r"of the class ([^ ]+) in each patch.s middle as found against true. In all: \d+ found", source)
    assert counts == ["&lt;round&gt;", "rare"] and "of the class oval &amp; flat in each" in source
    for svg in re.findall(r"<svg [^>]*>", source):
        assert 'aria-hidden="true"' in svg or 'role="img" aria-label="' in svg
    assert source.count('scope="col"') > 15 and source.count('scope="row"') >= 7 + 3 + 4


def test_the_verdict_counts_nuclei(page):
    from pathology.tasks.lizard.report import verdict

    block = evaluation().pathology
    matched = np.array(block.confusion.matched)
    matches, right = matched.sum(), matched.trace()
    assert (
        f"{matches / 40:.0%} of the 40 nuclei were found, that is outlined with more than half in common; "
        f"{matches / block.predicted:.0%} of the {block.predicted} outlines are of a nucleus; "
        f"{right / matches:.0%} of the nuclei found have their right class."
    ) in page.text
    nothing = block.confusion.model_copy(update={"matched": [[0] * 3] * 3})
    assert verdict(block.model_copy(update={"confusion": nothing, "predicted": 0})).startswith("None of the 40 nuclei")


def test_fractions_are_of_true_nuclei_and_of_all_false_positives():
    from pathology.tasks.lizard.report import confusion_fractions

    block = evaluation().pathology
    table = Confusion(
        classes=CLASSES, matched=[[6, 2, 0], [0, 0, 0], [1, 0, 1]], false_negatives=[2, 0, 2], false_positives=[1, 0, 3]
    )
    assert confusion_fractions(block.model_copy(update={"confusion": table})) == [
        [0.6, 0.2, 0.0, 0.2],
        [0.0, 0.0, 0.0, 0.0],
        [0.25, 0.0, 0.25, 0.5],
        [0.25, 0.0, 0.75, 0.0],
    ]


def test_numbers_stand_beside_the_published_and_class_by_class(page):
    block = evaluation().pathology
    bpq = block.intervals["bpq"]
    assert f"HoVer-Net 256 px patch bPQ 0.615 {bpq.value:.3f} {bpq.low:.3f} – {bpq.high:.3f}" in page.text
    assert "HoVer-Net: trained on Lizard, fold 0" in page.text and "0.615 HoVer-Net, published" in page.text
    assert "Not comparable" not in page.text
    assert page.text.count("not comparable: ours pools an image's patches") == 4
    images = block.images["dice"]
    assert f"Dice {images.value:.3f} {images.low:.3f} – {images.high:.3f} {block.intervals['dice'].value:.3f} 0.774" in page.text
    assert "whole source image bPQ 0.536" in page.text and "CellViT++ (SAM-H), published" not in page.text
    pq = block.classes[0].pq
    assert f"<round> {block.classes[0].true} {block.classes[0].predicted} {pq.value:.3f} {pq.low:.3f}" in page.text
    r2 = block.classes[0].r2
    assert f"{r2.value:.3f} no interval" in page.text and "rare 0 0 – – – –" in page.text
    assert "low-rank adapters" in page.text and "count as 0" not in page.text


def test_another_test_set_is_not_compared_and_empty_patches_are_said():
    from pathology.tasks.lizard.report import render

    page = Page(render(evaluation(published_partition=False, empty_patches=4), ROWS, example))
    assert "Not comparable: the published figures are on Lizard" in page.text
    table = page.text[page.text.index("Not comparable") : page.text.index("Image by image")]
    assert "not told apart" not in table and "HoVer-Net, published" not in page.text
    assert "4 patches have no nucleus in the truth and none was found" in page.text


def test_warnings_come_first():
    from pathology.tasks.lizard.report import render

    text = Page(render(evaluation(warnings=["mind <this>"]), ROWS, example)).text
    assert text.index("mind <this>") < text.index("panoptic quality")


def text_of(model=None, **block) -> str:
    """The page's text, with other values in the block or in the model's identity."""
    from pathology.tasks.lizard.report import render

    made = evaluation(**block)
    if model:
        pathology = made.pathology.model_copy(update={"model": made.pathology.model.model_copy(update=model)})
        made = made.model_copy(update={"pathology": pathology})
    return Page(render(made, ROWS, example)).text


def test_what_is_said_of_training_images_is_counted(page):
    assert "; none of these images was used in training." in page.text
    for seen in (None, 3):
        assert "none of these images" not in text_of(seen=Seen(unit="patches", test_items=10, seen=seen, names=[]))


def test_lengths_and_methods_are_those_of_this_test(page):
    assert f"Nuclei in the middle {SIDE} px of each patch" in page.text
    assert "Its weights are those of epoch 3" in page.text
    assert (
        f"{OF_CLUSTERS} (100 draws) for bPQ, Detection F1, F1 by centroid, Dice, AJI, mPQ and mPQ+; {NO_INTERVAL} for R²."
        in page.text
    )
    r2 = evaluation().pathology.intervals["r2"]
    assert f"left out, which makes no confidence interval: R² {r2.lowest:.3f} to {r2.highest:.3f}." in page.text
    text = text_of({"mpp": 0.25}, central=40)
    assert "pictures at 0.25 µm/px" in text and "px of 0.25 µm" in text and "middle 40 px" in text


def test_few_source_images_have_no_interval_anywhere():
    from pathology.tasks.lizard.report import render

    made = {name: MADE[name] for name in list(MADE)[:3]}
    rows = [row for row in ROWS if row.patch in made]
    few = evaluation(rows, made)
    bpq = few.pathology.intervals["bpq"]
    text = Page(render(few, rows, example)).text
    words = "No confidence interval: 3 source images are too few. As each of them is left out in turn, the value is"
    assert f"{words} {bpq.lowest:.3f} to {bpq.highest:.3f}." in text
    assert f"bPQ {bpq.value:.3f} none Finding and outlining" in text and not re.search(r"95% interval \d", text)
    assert f"which makes no confidence interval: bPQ {bpq.lowest:.3f} to {bpq.highest:.3f}, Detection F1" in text
    assert "not comparable: ours has no confidence interval" in text and 'class="span"' not in render(few, rows, example)


def test_what_something_simple_reaches_stands_beside(page):
    block = evaluation().pathology
    bpq, dice = (block.intervals[name] for name in ("bpq", "dice"))
    assert (
        "Something <simple>. That class is <round>. Threshold and lines were fitted on 1,234 patches of 56 source images"
        in page.text
    )
    for title, measured, times, words in (("bPQ", bpq, 0.5, "higher"), ("Dice", dice, 1.1, "lower")):
        bounds = f"{measured.low:.3f} – {measured.high:.3f}"
        assert f"{title} {measured.value * times:.3f} {measured.value:.3f} {bounds} {words}" in page.text
    assert "not judged: no interval" in page.text
    row = block.classes[0]
    assert f"<round> 4.50 {row.count_error:.2f} – {row.r2.value:.3f}" in page.text


def test_the_worst_patches_are_named(page):
    from pathology.tasks.lizard.report import LISTED, worst

    listed = worst(ROWS)
    wrong = [row for row in ROWS if row.class_name == "all" and row.fp + row.fn]
    assert len(listed) == LISTED < len(wrong)
    assert [each.pq for each in listed] == sorted(PatchScore(r.tp, r.fp, r.fn, r.iou_sum).pq for r in wrong)[:LISTED]
    first = listed[0]
    words = f"{first.patch} {first.source} {first.pq:.3f} {first.true} {first.missed} {first.made_up}"
    assert words in page.text and (first.true, first.missed, first.made_up) == (2, 2, 2)
    assert "There is none: every nucleus was found" in text_of_rows([row.model_copy(update={"fp": 0, "fn": 0}) for row in ROWS])


def text_of_rows(rows) -> str:
    """The page's text on these rows alone, in all that is drawn from them."""
    from pathology.tasks.lizard.report import render

    return Page(render(evaluation(), rows, example)).text


def test_pictures_have_a_bar_of_a_round_length(source):
    """48 px of 0.5 µm are 24 µm, of which a third has room for 5: 10 px."""
    bars = re.findall(r'<rect x="6" y="39" width="([0-9.]+)" height="3.5"/><text x="6" y="36">([^<]+)</text>', source)
    assert bars == [("10.00", "5 µm")] * 12
