"""mhist's page: one file that needs nothing, mistakes as pictures, honest about what may be compared."""

import base64
import io

import numpy as np
import pytest
from named_encoders import BY_HAND, H_OPTIMUS_0
from pages import Page, check_in_browser, trained
from pathology.contracts.evaluation import EncoderReport, RegistryFacts, Seen, compare
from pathology.contracts.mhist.evaluate import (
    PUBLISHED_RESULTS,
    UNIT,
    EvaReport,
    EvaRunReport,
    MhistBlock,
    MhistEvaluation,
    MhistModelIdentity,
    MhistPredictionRow,
    ValidationReport,
)
from pathology.contracts.operating_points import OperatingSettings
from pathology.contracts.runs import RunOutput
from pathology.metrics.binary import Scores
from pathology.metrics.operating_points import choose
from pathology.tasks.mhist.agreement import by_agreement
from PIL import Image
from scipy.stats import binomtest

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
                group=f"<slide> {number // 2}" if number % 2 else "",
            )
        )
    return predictions


def evaluation(predictions: list[MhistPredictionRow], published_partition: bool = True, **block) -> MhistEvaluation:
    """The evaluation that belongs to ``predictions``."""
    truth = np.array([row.label for row in predictions])
    probability = np.array([row.probability for row in predictions])
    both = len(set(truth.tolist())) == 2
    points = choose(truth, probability, OperatingSettings()) if both else ()
    points = tuple(point.model_copy(update={"threshold": 0.5}) if point.name == "youden" else point for point in points)
    scores = Scores(truth, probability, 0.5, 100, 0.95, 0, points=points, prevalences=(0.1,))
    intervals = scores.intervals()
    values = {
        "task": "mhist",
        "seen": Seen(unit="patches", test_items=len(truth), seen=0, names=[]),
        **scores.block(intervals),
        "annotators": 7,
        "agreement": by_agreement(truth, np.array([row.votes for row in predictions]), scores.predicted, 0.95),
        "published": compare(PUBLISHED_RESULTS, intervals, UNIT, published_partition),
        "published_partition": published_partition,
        "model": MhistModelIdentity(
            archive_uri="s3://bucket/model.tar.gz",
            archive_sha256="a" * 64,
            config_sha256="b" * 64,
            version="b" * 12,
            labels=("HP", "SSA"),
            fine_tuning="lora",
            trained_on_these_patches=True,
            validation=ValidationReport(patches=30, positives=10, accuracy=0.8, auroc=0.9),
            serving_code="c" * 16,
            evaluated_with_code="c" * 16,
            training=trained(),
        ),
        "encoder": EncoderReport.of(H_OPTIMUS_0),
        "computed_by": None,
        "data": {"patches_sha256": "e" * 64},
        "data_uris": {"patches": "s3://bucket/patches.csv", "images": "s3://bucket/images"},
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
        group = f" group {row.group}" if row.group else ""
        assert f"probability of SSA {row.probability:.3f} {row.votes} of 7 annotators said SSA{group}" in page.text
    assert "The files lie under their names in s3://bucket/images." in page.text


def test_it_needs_nothing_from_outside(source, page):
    from pathology.tasks.mhist.report import render

    assert all(item.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,")) for item in page.references)
    # The distribution for either width of the screen, and the losses of both sides.
    assert sum(item.startswith("data:image/svg+xml") for item in page.references) == 4 + 2 + 2
    assert "url(" not in source and "@import" not in source and page.scripts == 1
    assert source == render(evaluation(PREDICTIONS), PREDICTIONS, picture)


def test_numbers_stand_beside_the_published_and_by_agreement(page):
    block = evaluation(PREDICTIONS).pathology
    measured = block.intervals["balanced_accuracy"]
    assert f"Virchow2 frozen encoder, linear probe patch Balanced accuracy 0.861 {measured.value:.3f}" in page.text
    assert "ResNet-18 ImageNet weights, fine-tuned patch AUROC 0.927" in page.text
    assert "Not comparable" not in page.text
    for row in block.agreement:
        assert f"{row.agreement} of 7 {row.n} {row.accuracy.value:.3f}" in page.text


def test_operating_points_stand_with_counts_and_intervals(page):
    """Each number again from the predictions, with SciPy's Wilson interval."""
    block = evaluation(PREDICTIONS).pathology
    positives = sum(row.label for row in PREDICTIONS)
    assert [row.point.name for row in block.operating_points] == ["youden", "nominal", "promised"]
    for row in block.operating_points:
        missed = sum(each.label and each.probability < row.point.threshold for each in PREDICTIONS)
        alarms = sum(not each.label and each.probability >= row.point.threshold for each in PREDICTIONS)
        shown = []
        for right, trials in ((positives - missed, positives), (120 - positives - alarms, 120 - positives)):
            wilson = binomtest(right, trials).proportion_ci(0.95, method="wilson")
            shown.append(f"{right / trials:.3f} {wilson.low:.3f} – {wilson.high:.3f}")
        counts = f"{row.point.threshold:.3f} {missed} of {positives} {alarms} of {120 - positives}"
        assert f"{counts} {' '.join(shown)}" in page.text
    assert (
        "Training chose these thresholds by the scores of validation patches. The model's own label is decided by: Youden's, 0.500."
        in page.text
    )
    assert (
        f"Youden's decides the label most of sensitivity + specificity, chosen with {positives} validation positives" in page.text
    )
    assert page.text.count("decides the label") == 1
    for words in (
        "positive patches that come as those of the validation side",
        "The epoch whose weights are kept was chosen on the same",
    ):
        assert words in page.text
    assert "The epoch whose weights are kept was chosen on the same" not in text_of({"fine_tuning": "linear"})


def test_they_are_carried_over_to_other_fractions_of_positives(page):
    block = evaluation(PREDICTIONS).pathology
    positives = sum(row.label for row in PREDICTIONS)
    for row, title in zip(block.operating_points, ("Youden's", "Nominal", "Promised"), strict=True):
        found, right = row.sensitivity.value, row.specificity.value
        for prevalence, name in (
            (0.1, "10%"),
            (positives / 120, f"{100 * positives / 120:.1f}".removesuffix(".0") + "% this test"),
        ):
            called = prevalence * found + (1 - prevalence) * (1 - right)
            at = next(each for each in row.at_prevalence if each.prevalence == pytest.approx(prevalence))
            ppv, npv = (
                f"{each.low:.3f} – {each.high:.3f}" for each in (at.positive_predictive_value, at.negative_predictive_value)
            )
            shown = f"{prevalence * found / called:.3f} {ppv} {(1 - prevalence) * right / (1 - called):.3f} {npv} {100 * (1 - called):.1f} "
            assert f"{name} {title} {shown}{at.spared.low:.1f} – {at.spared.high:.1f}" in page.text
    assert page.text.count("this test ") >= 3 and "Spared a further look, per 100 patches" in page.text


def test_what_is_read_off_the_test_has_no_interval(page):
    from sklearn.metrics import roc_curve

    truth, probability = (np.array([getattr(row, name) for row in PREDICTIONS]) for name in ("label", "probability"))
    alarms, found, _ = roc_curve(truth, probability, drop_intermediate=False)
    first = int(np.argmax(found >= 0.95))
    assert (
        f"at a sensitivity of {found[first]:.3f} the highest specificity is {1 - alarms[first]:.3f}. That threshold is chosen on the very "
        "patches it is measured on: hence no interval" in page.text
    )


def test_a_model_without_operating_points_says_so():
    text = text_of(operating_points=[])
    assert "This model keeps no operating points. It has the one threshold of 0.500." in text
    assert "decides the label" not in text and "Spared a further look" not in text and "Read off this test itself" in text


def test_calibration_is_told_in_numbers_and_words(page):
    block = evaluation(PREDICTIONS).pathology
    slope, intercept, brier = (block.intervals[name] for name in ("calibration_slope", "calibration_intercept", "brier"))
    assert slope.low < 1 < slope.high and intercept.low < 0 < intercept.high
    for title, bounds in (("Slope", slope), ("Intercept", intercept), ("Brier score", brier)):
        assert f"{title} {bounds.value:.3f} {bounds.low:.3f} – {bounds.high:.3f}" in page.text
    assert "the interval holds 1." in page.text and "the interval holds 0." in page.text
    assert "nothing recalibrated them afterwards. Intervals: profile likelihood for slope and intercept;" in page.text
    intervals = {**block.intervals, "calibration_slope": slope.model_copy(update={"low": 1.2, "high": 2.1})}
    assert "Not sure enough: above 1" in text_of(intervals=intervals)


def test_a_test_without_a_slope_says_why():
    from pathology.tasks.mhist.report import render

    apart = [row.model_copy(update={"probability": 0.3 + 0.4 * row.label, "predicted": row.label}) for row in PREDICTIONS]
    text = Page(render(evaluation(apart), apart, picture)).text
    assert "Slope – none" in text and "so that no slope would be too steep" in text


def test_evas_figure_stands_beside_the_mean_of_runs_by_its_protocol(page):
    from pathology.tasks.mhist.report import render

    assert "eva's protocol" not in page.text
    runs = [EvaRunReport(seed=seed, epoch=9 + seed, balanced_accuracy=0.81 + seed / 100) for seed in range(2)]
    eva = EvaReport(
        steps=12500, batch_size=256, learning_rate=0.0003, weight_decay=0.01, patience=278, patches=2175, runs=runs,
        mean=0.815, departures=[], remarks=["Half precision."], published=0.843,
    )  # fmt: skip
    text = Page(render(evaluation(PREDICTIONS, eva=eva), PREDICTIONS, picture)).text
    assert "12,500 steps of 256 patches by AdamW at 0.0003, weight decay 0.01, on 2,175 patches" in text
    assert "Mean balanced accuracy of the runs: 0.815. eva's leaderboard has 0.843 for this encoder" in text
    assert "1 0 9 0.810 2 1 10 0.820" in text and "Half precision." in text and "Not eva's protocol" not in text
    assert "the best balanced accuracy on these very test patches" in text and "30 validation patches" not in text


def test_another_test_set_is_not_compared():
    from pathology.tasks.mhist.report import render

    source = render(evaluation(PREDICTIONS, published_partition=False), PREDICTIONS, picture)
    text = Page(source).text
    assert "Scale bar" not in source and "nominal" not in text
    assert "Not comparable: the published figures are on MHIST's own test partition" in text
    assert "not told apart" not in text and text.count("not comparable: another test") == len(PUBLISHED_RESULTS)


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


def text_of(model=None, **block) -> str:
    """The page's text, with other values in the block or in the model's identity."""
    from pathology.tasks.mhist.report import render

    made = evaluation(PREDICTIONS, **block)
    if model:
        pathology = made.pathology.model_copy(update={"model": made.pathology.model.model_copy(update=model)})
        made = made.model_copy(update={"pathology": pathology})
    return Page(render(made, PREDICTIONS, picture)).text


def test_what_is_said_of_training_patches_is_counted(page):
    assert "; none was used in training or in choosing the threshold." in page.text
    for seen in (None, 2):
        assert "none was used" not in text_of(seen=Seen(unit="patches", test_items=120, seen=seen, names=[]))


def test_what_was_chosen_on_validation_patches_depends_on_the_way_of_training(page):
    assert "threshold and the epoch whose weights are kept were chosen on 30 validation patches" in page.text
    assert "That threshold was chosen on 30 validation patches" in text_of({"fine_tuning": "linear"})


def test_the_served_code_is_claimed_where_it_ran(page):
    assert "ran the very code that is packed with the model" in page.text
    assert "very code" not in text_of({"evaluated_with_code": "0" * 16})


def test_methods_of_intervals_are_those_of_the_intervals(page):
    assert (
        "Intervals are over patches: Newcombe's method 5, its variance brought to the scores' for AUROC; Wilson's score interval for Sensitivity, Specificity, Precision "
        "(PPV), Negative predictive value (NPV) and Accuracy; Newcombe's square-and-add of two Wilson intervals for Balanced accuracy; on the logit scale, by the "
        "larger of the binomial and the bootstrap's standard deviation (100 draws) for Average precision; Wilson's score interval of "
        "the overlap of called and true for F1."
    ) in page.text
    other = dict.fromkeys(evaluation(PREDICTIONS).pathology.interval_methods, "Method 5")
    text = text_of(interval_methods=other)
    assert "Intervals are over patches: Method 5 for AUROC, Sensitivity," in text and "bootstrap within" not in text


def test_nothing_called_positive_has_no_method():
    never = [row.model_copy(update={"probability": row.probability / 3, "predicted": 0}) for row in PREDICTIONS]
    assert evaluation(never).pathology.interval_methods["precision"].startswith("no method (undefined on this test")


def test_it_says_where_the_numbers_come_from(source, page):
    assert "Patches table s3://bucket/patches.csv" in page.text and "Images s3://bucket/images" in page.text
    assert f"{'b' * 12}, as an endpoint answers it and a registered version has it: model_version" in page.text
    assert f"{'9' * 16} trained" in page.text and "Computed by" not in page.text
    assert "learning-rate 0.01" in page.text and "whose weights were kept: epoch 2 of 3." in page.text
    run = RunOutput(pipeline="pathology-mhist", execution="abc123def456", step="EvaluateMhist", uri="s3://b/runs/x")
    assert "Computed by execution abc123def456 of pathology-mhist, step EvaluateMhist s3://b/runs/x" in text_of(computed_by=run)


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"curves": []}, "this model was not trained by epochs"),
        ({"curves": [], "code": None}, "The model does not hold its losses by epoch."),
        ({"code": None}, "which code trained is not recorded in the model"),
        ({"settings": {}}, "The model does not hold them."),
    ],
)
def test_what_a_model_does_not_tell_of_its_training_is_said(training, words):
    assert words in text_of({"training": trained().model_copy(update=training)})


def test_an_encoder_that_a_person_named_is_called_so_in_its_row(page):
    from pathology.tasks.mhist.report import render

    assert f"h-optimus-0 verified: bioptimus/H-optimus-0 at {H_OPTIMUS_0.source.revision}" in page.text
    named = Page(render(evaluation(PREDICTIONS, encoder=EncoderReport.of(BY_HAND)), PREDICTIONS, picture)).text
    assert "our-own (not verified: named by hand)" in named and "placeholder" not in named


def test_only_the_published_patches_have_a_scale(source, page):
    """448 µm across, of which a third at most: 100 µm, 100 of 448."""
    from pathology.tasks.mhist.report import MISTAKES_SHOWN

    bar = 'style="width:22.32%" role="img" aria-label="Scale bar: about 100 µm"'
    assert source.count(bar) == MISTAKES_SHOWN and "nominal 2.0 µm/px" in page.text


def test_the_newer_name_of_the_lesion_stands_beside_the_older(page):
    assert "of them SSA (SSL in WHO 2019)" in page.text
    assert "probability of SSA (SSL in WHO 2019: sessile serrated lesion) against HP" in page.text


def test_of_another_table_neither_scale_nor_lesion_is_known():
    from pathology.tasks.mhist.report import render

    source = render(evaluation(PREDICTIONS, published_partition=False, published=[]), PREDICTIONS, picture)
    assert not [words for words in ("Scale bar", "nominal", "SSL", "sessile") if words in source]


def test_it_is_read_and_sorted_on_a_phone_and_printed_whole(source, chromium, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(source)
    check_in_browser(chromium, path)


def test_nothing_else_runs_or_is_loaded(source, chromium, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(
        source.replace("</main>", "<script>document.title = 'ran'</script><img src='http://127.0.0.1:9/a.png'></main>")
    )
    chromium.open(path, wait_for_pictures=False)
    assert chromium.run("document.title") == "Colorectal polyps from patches: evaluation"
    refused = [problem for problem in chromium.problems if "Content Security Policy" in problem]
    assert (
        len(refused) == 2 and any("script" in problem for problem in refused) and any("a.png" in problem for problem in refused)
    )
