"""EvaluateMhist: a real artefact on a tiny encoder, through the functions that serve it; every number from predictions.csv."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import itertools
import shutil
import string
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cards import check_card
from endpoints import PNG, listening
from msi_jobs import processing_job, strict_json
from packed import pack, without_list
from pages import Page
from patch_sets import patch, write_patch_table
from pathology.contracts.code import closure
from pathology.contracts.errors import DataError
from pathology.contracts.mhist.evaluate import EvaluateMhist, MhistEvaluation, MhistPredictionRow
from pathology.contracts.mhist.patches import MhistPatchRow
from pathology.encoders.encoder import load_encoder
from pathology.encoders.tiny import make_tiny_encoder
from PIL import Image
from scipy.stats import binomtest

VOTES = (0, 1, 2, 3, 4, 5, 6, 7)


class MhistRun:
    """Made patches of two textures, where some that the annotators were divided on look like the other class; a packed probe."""

    def __init__(self, root: Path) -> None:
        from pathology.patches.evaluation import BATCH

        self.root, self.images = root, root / "images"
        self.images.mkdir(parents=True)
        self.rows = [
            self._patch(number, split)
            for number, split in enumerate(["train"] * 48 + ["validation"] * 16 + ["test"] * (BATCH + 16))
        ]
        self.table = write_patch_table(root / "patches", self.rows) / "patches.csv"
        self.manifest = make_tiny_encoder(root / "models" / "tiny")
        self.test = [row for row in self.rows if row.split == "test"]

    def _patch(self, number: int, split: str) -> MhistPatchRow:
        votes = VOTES[number % 8]
        label = int(votes >= 4)
        # In the test split half of the patches with 4 to 3 votes look like the other class: a model must get them wrong.
        misleading = split == "test" and votes in (3, 4) and number % 16 < 8
        name = f"MHIST_{number:03d}.png"
        Image.fromarray(patch(int(bool(label) != misleading), np.random.default_rng(number))).save(self.images / name)
        content = (self.images / name).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        return MhistPatchRow(image=name, sha256=sha256, bytes=len(content), label=label, votes=votes, split=split)

    def embed(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings and labels of a split, read without the code under test."""
        rows = [row for row in self.rows if row.split == split]
        pixels = np.stack([np.asarray(Image.open(self.images / row.image)) for row in rows])
        return load_encoder(self.root / "models").embed(pixels), np.array([row.label for row in rows])

    def copy(self, root: Path) -> MhistRun:
        """The same in another folder, where files may be changed."""
        other = copy.copy(self)
        shutil.copytree(self.root, root)
        other.root, other.images, other.table, other.test = root, root / "images", root / "patches" / "patches.csv", [*self.test]
        return other

    def train(self) -> None:
        """Fit a probe and pack it."""
        from pathology.patches.probe import fit_probe

        self.head = fit_probe(*self.embed("train"), *self.embed("validation")).head
        self.simple = self._baseline()
        self.pack()

    def _baseline(self):
        from pathology.patches.dataset import Patches
        from pathology.tasks.mhist.baseline import fit

        sides = (Patches(self.images, [row for row in self.rows if row.split == split], 224) for split in ("train", "validation"))
        return fit(*(given for side in sides for given in (side, side.labels.astype(float))))

    def pack(self, **changed) -> None:
        """Pack the probe as the service packs a model."""
        from pathology.artefact import EncoderIdentity, save_artefact
        from pathology.contracts.artefact import LEARNED_FROM
        from pathology.contracts.learned_from import LearnedFrom
        from pathology.patches.artefact import Validation, pack_weights
        from pathology.patches.learned_from import items
        from pathology.tasks.mhist import serving
        from pathology.tasks.mhist.artefact import MhistConfig

        files, head, encoder_weights = pack_weights(self.head, {})
        simple, files["baseline.safetensors"] = self.simple.pack()
        manifest, code = self.manifest, closure(serving.__name__)
        inputs = {"patches": hashlib.sha256(self.table.read_bytes()).hexdigest()}
        learnt_from = items(row for row in self.rows if row.split != "test")
        learned_from, files[LEARNED_FROM] = LearnedFrom.of(learnt_from, inputs).pack()
        values = {
            "labels": ("HP", "SSA"),
            "threshold": 0.5,
            **{name: getattr(manifest, name) for name in ("pixels", "mean", "std")},
            "encoder": EncoderIdentity.of(manifest),
            "fine_tuning": "linear",
            "rank": 16,
            "blocks": 2,
            "head": head,
            "encoder_weights": encoder_weights,
            "validation": Validation(patches=16, positives=8, loss=0.1, accuracy=1.0, auroc=1.0, epoch=0),
            "training": {},
            "inputs": inputs,
            "learned_from": learned_from,
            "serving_code": code.hash,
            "versions": {},
            "baseline": simple,
            **changed,
        }
        folder = self.root / "model"
        save_artefact(folder, MhistConfig(**values), files, code, serving.__name__)
        self.archive = pack(folder, self.root / "packed") / "model.tar.gz"

    def evaluate(
        self, folder: Path, table: Path | None = None, model: Path | None = None, **settings
    ) -> tuple[dict, list[MhistPredictionRow], str]:
        """evaluation.json, predictions.csv and what was printed."""
        from pathology.commands.evaluate_mhist import main

        inputs = {
            "model": model or self.archive.parent,
            "models": self.root / "models",
            "encoder": self.root / "models" / "tiny",
            "patches": (table or self.table).parent,
            "images": self.images,
        }
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main(processing_job(folder, EvaluateMhist(resamples=200, **settings), inputs, ("evaluation",)))
        output = folder / "evaluation"
        return strict_json(output / "evaluation.json"), MhistPredictionRow.read(output / "predictions.csv"), printed.getvalue()


@pytest.fixture(scope="module")
def mhist(tmp_path_factory):
    """A trained run."""
    run = MhistRun(tmp_path_factory.mktemp("mhist"))
    run.train()
    return run


@pytest.fixture(scope="module")
def evaluated(mhist, tmp_path_factory):
    """Its evaluation: folder, evaluation.json, predictions, log."""
    folder = tmp_path_factory.mktemp("evaluation")
    return folder, *mhist.evaluate(folder)


def test_every_test_patch_is_predicted_once_and_texture_is_found(evaluated, mhist):
    from pathology.patches.evaluation import BATCH

    _, evaluation, predictions, log = evaluated
    assert [row.image for row in predictions] == [row.image for row in mhist.test]
    assert [(row.label, row.votes) for row in predictions] == [(row.label, row.votes) for row in mhist.test]
    assert evaluation["pathology"]["n"] == len(mhist.test) > BATCH
    assert evaluation["pathology"]["intervals"]["auroc"]["low"] > 0.5
    assert f"{len(mhist.test)} patches, {evaluation['pathology']['positives']} positive" in log


def test_the_endpoint_answers_what_was_evaluated(evaluated, mhist):
    """Over HTTP, eight at a time, where evaluation takes 64 together: sums differ by their last bit, the decision does not."""
    from pathology.tasks.mhist import serving

    _, evaluation, predictions, _ = evaluated
    model = serving.model_fn(mhist.root / "model", mhist.root / "models")
    contents = [(mhist.images / row.image).read_bytes() for row in predictions]
    with listening(serving, model) as endpoint:
        answers = endpoint.crowd([(content, PNG) for content in contents], 8)
        alone = [endpoint.post(content).content for content in contents[:3]]
    for row, answer in zip(predictions, (answer.json() for answer in answers), strict=True):
        assert answer["probability"] == pytest.approx(row.probability, rel=0, abs=1e-6)
        assert answer["label"] == ("HP", "SSA")[row.predicted]
        assert answer["model_version"] == evaluation["pathology"]["model"]["version"]
    for content, answer in zip(contents, alone, strict=False):
        assert serving.output_fn(serving.predict_fn([serving.input_fn(content)], model)[0]) == answer


@pytest.mark.slow
def test_in_half_precision_the_endpoint_is_within_a_thousandth(mhist, evaluated, tmp_path, monkeypatch):
    """As on a GPU, where a batch's size decides how its sums are rounded; here in bfloat16, which a CPU has too."""
    from pathology.patches import artefact
    from pathology.tasks.mhist import serving

    monkeypatch.setattr(artefact, "load_encoder", partial(load_encoder, precision="bfloat16"))
    _, predictions, _ = mhist.evaluate(tmp_path)
    assert [row.probability for row in predictions] != [row.probability for row in evaluated[2]]
    with listening(serving, serving.model_fn(mhist.root / "model", mhist.root / "models")) as endpoint:
        answers = endpoint.crowd([((mhist.images / row.image).read_bytes(), PNG) for row in predictions], 8)
    for row, answer in zip(predictions, (answer.json() for answer in answers), strict=True):
        assert answer["probability"] == pytest.approx(row.probability, rel=0, abs=1e-3)
        if abs(row.probability - answer["threshold"]) > 1e-3:
            assert answer["label"] == ("HP", "SSA")[row.predicted]


def test_the_baseline_is_of_the_same_patches(evaluated, mhist):
    from pathology.tasks.mhist.baseline import colour_histogram
    from sklearn import metrics

    folder, evaluation, predictions, log = evaluated
    histograms = np.stack([colour_histogram(np.asarray(Image.open(mhist.images / row.image))) for row in mhist.test])
    probability = 1 / (1 + np.exp(-(histograms @ mhist.simple.weight + mhist.simple.bias)))
    truth = [row.label for row in predictions]
    found = evaluation["pathology"]["baseline"]
    area, balanced = found["intervals"]["auroc"], found["intervals"]["balanced_accuracy"]
    assert area["value"] == pytest.approx(metrics.roc_auc_score(truth, probability), abs=1e-9)
    called = probability >= found["threshold"]
    assert balanced["value"] == pytest.approx(metrics.balanced_accuracy_score(truth, called), abs=1e-9)
    assert (found["name"], found["fitted_on"], found["positives"]) == ("rgb-histogram-8", 48, 24)
    assert f"baseline (rgb-histogram-8): auroc {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f})" in log
    text = Page((folder / "evaluation" / "report.html").read_text()).text
    assert "A simple baseline on the same patches Logistic regression on the colour histogram of a patch (8 levels each" in text
    assert "fitted on 48 training patches, 24 of them SSA; its penalty and its own threshold" in text


def test_every_number_follows_from_predictions(evaluated):
    from sklearn import metrics

    _, evaluation, predictions, _ = evaluated
    block, studio = evaluation["pathology"], evaluation["binary_classification_metrics"]
    truth = np.array([row.label for row in predictions])
    score = np.array([row.probability for row in predictions])
    called = np.array([row.predicted for row in predictions])
    assert (called == (score >= block["threshold"])).all()
    assert studio["auc"]["value"] == pytest.approx(metrics.roc_auc_score(truth, score))
    assert studio["balanced_accuracy"]["value"] == pytest.approx(metrics.balanced_accuracy_score(truth, called))
    assert studio["recall"]["value"] == pytest.approx(metrics.recall_score(truth, called))
    assert studio["true_negative_rate"]["value"] == pytest.approx(metrics.recall_score(1 - truth, 1 - called))
    assert block["brier"] == pytest.approx(metrics.brier_score_loss(truth, score))
    assert sum(group["n"] for group in block["calibration"]) == len(predictions)
    for row in block["published"]:
        assert row["measured"] == block["intervals"][row["published"]["measure"]]


def test_accuracy_falls_where_annotators_were_divided(evaluated):
    _, evaluation, predictions, _ = evaluated
    table = {row["agreement"]: row for row in evaluation["pathology"]["agreement"]}
    for level, row in table.items():
        at_level = [item for item in predictions if max(item.votes, 7 - item.votes) == level]
        right = sum(item.label == item.predicted for item in at_level)
        wilson = binomtest(right, len(at_level)).proportion_ci(0.95, method="wilson")
        assert (row["n"], row["accuracy"]["value"]) == (len(at_level), pytest.approx(right / len(at_level)))
        assert (row["accuracy"]["low"], row["accuracy"]["high"]) == pytest.approx((wilson.low, wilson.high))
    assert table[7]["accuracy"]["value"] > 0.9
    assert table[4]["accuracy"]["value"] < 0.7


def test_what_was_evaluated_is_named_by_hash(evaluated, mhist):
    folder, evaluation, _, log = evaluated
    block = evaluation["pathology"]
    model = block["model"]
    assert model["archive_sha256"] == hashlib.sha256(mhist.archive.read_bytes()).hexdigest()
    assert model["config_sha256"] == hashlib.sha256((mhist.root / "model" / "config.json").read_bytes()).hexdigest()
    assert model["version"] == model["config_sha256"][:12]
    assert block["data"] == {"patches_sha256": hashlib.sha256(mhist.table.read_bytes()).hexdigest()}
    assert block["data_uris"] == {"patches": "s3://bucket/patches/patches.csv", "images": "s3://bucket/images"}
    assert model["archive_uri"] == "s3://bucket/model/model.tar.gz"
    assert model["trained_on_these_patches"] is True
    assert model["serving_code"] == model["evaluated_with_code"]
    assert block["published_partition"] is False
    assert "placeholder with seeded weights" in block["warnings"][0] and "MHIST's own 977" in block["warnings"][1]
    assert block["seen"] == {"unit": "patches", "test_items": 80, "seen": 0, "names": []}
    assert len(block["warnings"]) == 2 and all(f"warning: {warning}" in log for warning in block["warnings"])
    content = (folder / "evaluation" / "evaluation.json").read_bytes()
    assert MhistEvaluation.from_json(content, "evaluation.json").to_json() == content


def test_the_report_shows_the_mistakes(evaluated):
    folder, _, predictions, _ = evaluated
    page = Page((folder / "evaluation" / "report.html").read_text())
    wrong = [row for row in predictions if row.predicted != row.label]
    assert "none was used in training" in page.text
    assert wrong and f"{len(wrong)} of {len(predictions)} patches were called wrong" in page.text
    pictures = [item for item in page.references if item.startswith("data:image/png;base64,")]
    assert len(pictures) == min(len(wrong), 12)
    assert all(item.startswith("data:") for item in page.references)


def test_twice_the_same_bytes(evaluated, mhist, tmp_path):
    mhist.evaluate(tmp_path)
    for name in ("predictions.csv", "report.html", "evaluation.json"):
        assert (tmp_path / "evaluation" / name).read_bytes() == (evaluated[0] / "evaluation" / name).read_bytes()


def test_a_reader_is_warned(mhist, tmp_path):
    run = mhist.copy(tmp_path / "run")
    run.pack(training={"shuffle-labels": "true"}, inputs={"patches": "0" * 64}, serving_code="f" * 16)
    few = [row for row in run.rows if row.split != "test"] + run.test[:16]
    table = write_patch_table(tmp_path / "few", few) / "patches.csv"
    evaluation, _, _ = run.evaluate(tmp_path / "job", table)
    warnings = evaluation["pathology"]["warnings"]
    words = (
        "placeholder with seeded weights",
        "permuted labels",
        "8 positive and 8 negative patches",
        "own 977",
        "code packed",
    )
    assert len(warnings) == len(words) and all(word in warning for word, warning in zip(words, warnings, strict=True))
    assert evaluation["pathology"]["model"]["trained_on_these_patches"] is False


@pytest.mark.parametrize(
    ("counts", "name", "published"),
    [
        ((617, 360), "MHIST_{}.png", True),
        ((616, 361), "MHIST_{}.png", False),  # as many in all
        ((617, 360), "polyp_{}.png", False),
    ],
)
def test_mhists_own_partition_is_known_by_its_classes_and_names(counts, name, published):
    from pathology.commands.evaluate_mhist import is_published

    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    names = ("".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=3))
    rows = [
        MhistPredictionRow(image=name.format(letters), label=label, votes=7 * label, probability=0.5, predicted=1, group="")
        for label, letters in zip(labels, names, strict=False)
    ]
    assert is_published(rows) is published


def test_a_copy_of_a_training_patch_is_refused_or_warned_of(mhist, tmp_path):
    run = mhist.copy(tmp_path / "run")
    known = run.rows[0]  # of the train split, with as many votes as the first test patch
    (run.images / run.test[0].image).write_bytes((run.images / known.image).read_bytes())
    run.test[0] = run.test[0].model_copy(update={"sha256": known.sha256, "bytes": known.bytes})
    table = write_patch_table(tmp_path / "copied", [*run.rows[:64], *run.test[:16]]) / "patches.csv"
    assert {row.split for row in run.rows[:64]} == {"train", "validation"}
    with pytest.raises(
        DataError, match=rf"learnt from 1 of the 16 test patches \({run.test[0].image}\): .* 'allow-seen' to true"
    ):
        run.evaluate(tmp_path / "refused", table)
    assert not list((tmp_path / "refused").rglob("evaluation.json"))
    evaluation, _, log = run.evaluate(tmp_path / "allowed", table, allow_seen=True)
    block = evaluation["pathology"]
    assert block["seen"] == {"unit": "patches", "test_items": 16, "seen": 1, "names": [run.test[0].image]}
    assert f"learnt from 1 of the 16 test patches ({run.test[0].image}): they do not test it" in block["warnings"][0]
    report = (tmp_path / "allowed" / "evaluation" / "report.html").read_text()
    assert block["warnings"][0] in Page(report).text and "none was used in training" not in report
    assert "seen in training: 1 of 16 test patches" in log and f"warning: {block['warnings'][0]}" in log


def test_the_patches_that_were_learnt_from_are_refused_as_a_test(mhist, tmp_path):
    """Train patches and validation patches, on which epoch and threshold were chosen."""
    turned = {"train": "test", "validation": "test", "test": "train"}
    rows = [row.model_copy(update={"split": turned[row.split]}) for row in mhist.rows]
    rows += [row.model_copy(update={"image": f"v{row.image}", "split": "validation"}) for row in mhist.test]
    table = write_patch_table(tmp_path / "turned", rows) / "patches.csv"
    names = ", ".join(f"MHIST_{number:03d}.png" for number in range(5))
    with pytest.raises(DataError, match=rf"learnt from 64 of the 64 test patches \({names}, …\)") as caught:
        mhist.evaluate(tmp_path / "refused", table)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_list_is_unknown_and_says_so(evaluated, mhist, tmp_path):
    table = write_patch_table(tmp_path / "few", [*mhist.rows[:64], *mhist.test[:16]]) / "patches.csv"
    older = without_list(mhist.archive.parent, tmp_path / "older")
    evaluation, predictions, log = mhist.evaluate(tmp_path / "job", table, older)
    seen, warning = evaluation["pathology"]["seen"], evaluation["pathology"]["warnings"][0]
    assert seen == {"unit": "patches", "test_items": 16, "seen": None, "names": []}
    assert warning.startswith("It is not known whether the model has learnt from these 16 test patches")
    assert "seen in training: unknown of 16 test patches" in log and f"warning: {warning}" in log
    assert predictions == evaluated[2][:16]  # what it answers has nothing to do with the list
    report = (tmp_path / "job" / "evaluation" / "report.html").read_text()
    assert warning in Page(report).text and "none was used in training" not in report


@pytest.mark.parametrize("fault", ["gone", "changed", "not a picture"])
def test_a_patch_that_is_not_the_table_s_is_named(mhist, tmp_path, fault):
    row, path = mhist.test[5], mhist.images / mhist.test[5].image
    content, table = path.read_bytes(), None
    try:
        if fault == "gone":
            path.unlink()
        else:
            path.write_bytes(b"GIF89a" if fault == "not a picture" else content + b"\0")
        if fault == "not a picture":
            planted = row.model_copy(update={"sha256": hashlib.sha256(b"GIF89a").hexdigest(), "bytes": 6})
            rows = [planted if item.image == row.image else item for item in mhist.rows]
            table = write_patch_table(tmp_path / "patches", rows) / "patches.csv"
        with pytest.raises(DataError, match=f"patch {row.image}") as caught:
            mhist.evaluate(tmp_path / "job", table)
        assert "\n" not in str(caught.value)
        assert not list((tmp_path / "job").rglob("evaluation.json"))
    finally:
        path.write_bytes(content)


def test_a_test_split_of_one_class_cannot_be_measured(mhist, tmp_path):
    rows = [row for row in mhist.rows if row.split != "test" or row.label == 0]
    table = write_patch_table(tmp_path / "patches", rows) / "patches.csv"
    with pytest.raises(DataError, match="no SSA patch is in the split test"):
        mhist.evaluate(tmp_path / "job", table)


def test_another_table_than_mhists_is_held_to_nothing_of_mhists(mhist, tmp_path):
    """No votes, other classes, a split of its own; and what was found when it was prepared is said again."""
    run = mhist.copy(tmp_path / "run")
    run.pack(labels=("polyp", "adenoma"))
    rows = [row.model_copy(update={"votes": None}) for row in run.rows]
    about = {"dataset": "patches", "labels": ["polyp", "adenoma"], "warnings": ["The table names no group."]}
    table = write_patch_table(tmp_path / "own", rows, **about) / "patches.csv"
    evaluation, predictions, _ = run.evaluate(tmp_path / "job", table)
    block = evaluation["pathology"]
    assert (block["agreement"], block["published"], block["published_partition"]) == ([], [], False)
    assert "The table names no group." in block["warnings"]
    assert not any("977" in warning for warning in block["warnings"])
    assert {row.votes for row in predictions} == {None}
    page = Page((tmp_path / "job" / "evaluation" / "report.html").read_text())
    assert "adenoma" in page.text and "The table of patches has no annotators' votes" in page.text
    assert "The table names no group." in page.text
    for word in ("pathologists said", "Against published numbers", "seven", "of 7", "MHIST is", "Hyperplastic", "None"):
        assert word not in page.text, word
    with pytest.raises(DataError, match="the model tells polyp and adenoma apart and the patches are HP and SSA"):
        run.evaluate(tmp_path / "other")


def test_a_version_s_card_is_made_of_it(evaluated):
    _, evaluation, _, _ = evaluated
    check_card(evaluation)
