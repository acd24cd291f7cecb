"""TrainMhist: every way of fine-tuning learns the texture and packs what serves; what is repeated, permuted and refused."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from msi_jobs import processing_job, strict_json, training_job
from packed import pack
from pages import Page
from patch_sets import write_patch_table, write_patches
from pathology.contracts.code import command_code
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.intervals import area_under_roc
from pathology.contracts.log_lines import CLASSIFIER_METRICS
from pathology.contracts.mhist.evaluate import EvaluateMhist
from pathology.contracts.mhist.train import TrainMhist
from pathology.encoders.tiny import make_tiny_encoder
from pathology.metrics.ranking import auroc
from PIL import Image

FINE_TUNINGS = ("linear", "lora", "last-blocks", "full")
COUNTS = {"train": 48, "validation": 16, "test": 32}
QUICK = TrainMhist(epochs=2, batch_size=16, rank=4, blocks=1, learning_rate=1e-2, encoder_learning_rate=1e-3)


class MhistRun:
    """Look-alike patches and the tiny encoder, as the job's channels show them."""

    def __init__(self, root):
        self.root = root
        self.rows = write_patches(root / "images", COUNTS)
        make_tiny_encoder(root / "models" / "tiny")

    def job(self, folder, **settings):
        channels = {
            "training": self.root / "images",
            "models": self.root / "models",
            "encoder": self.root / "models" / "tiny",
            "patches": write_patch_table(folder / "tables", self.rows),
        }
        return training_job(folder, QUICK.model_copy(update=settings), channels)

    def requests(self, split="test"):
        return [(self.root / "images" / row.image).read_bytes() for row in self.rows if row.split == split]

    def labels(self, split="test"):
        return np.array([row.label for row in self.rows if row.split == split])

    def scores(self, model, split="test"):
        from pathology.tasks.mhist.serving import input_fn, predict_fn

        answers = predict_fn([input_fn(body, "image/png") for body in self.requests(split)], model)
        return np.array([item["probability"] for item in answers])


@pytest.fixture(scope="module")
def mhist(tmp_path_factory):
    return MhistRun(tmp_path_factory.mktemp("mhist"))


@pytest.fixture(scope="module")
def trained(mhist, tmp_path_factory):
    """A function: a way of fine-tuning → the job's folder, to be copied before anything is written there, and its log."""
    from pathology.commands.train_mhist import main

    @cache
    def train(fine_tuning):
        folder, log = tmp_path_factory.mktemp(fine_tuning), io.StringIO()
        with contextlib.redirect_stdout(log):
            main(mhist.job(folder, fine_tuning=fine_tuning))
        return folder, log.getvalue()

    return train


@pytest.fixture(scope="module")
def linear(mhist, trained):
    """The model of the linear probe."""
    from pathology.tasks.mhist.serving import model_fn

    return model_fn(mhist.job(trained("linear")[0]).output("model"), mhist.root / "models")


@pytest.mark.parametrize("fine_tuning", FINE_TUNINGS)
def test_it_learns_the_texture_and_packs_what_serves(mhist, trained, fine_tuning):
    """99.9 % of draws lie above 0.5, and so rounding does not decide it."""
    from pathology.tasks.mhist.serving import model_fn

    folder, log = trained(fine_tuning)
    output = mhist.job(folder).output("model")
    logged = {item["Name"]: re.findall(item["Regex"], log) for item in CLASSIFIER_METRICS}
    assert set(logged) == {"training:loss", "validation:loss", "validation:accuracy", "validation:roc_auc"} and all(
        logged.values()
    )
    model = model_fn(output, mhist.root / "models")
    validation = model.config.validation
    assert float(logged["validation:roc_auc"][-1]) == pytest.approx(validation.auroc, abs=1e-6)
    assert float(logged["validation:loss"][-1]) == pytest.approx(validation.loss, abs=1e-6)
    labels = mhist.labels()
    assert area_under_roc(labels, mhist.scores(model), confidence=0.999).low > 0.5
    assert auroc(mhist.labels("validation"), mhist.scores(model, "validation")) == pytest.approx(validation.auroc, abs=1e-9)
    assert (model.config.fine_tuning, model.config.labels, validation.patches) == (
        fine_tuning,
        ("HP", "SSA"),
        COUNTS["validation"],
    )
    assert model.config.training_code == command_code("train_mhist").hash
    curves = [[*zip(curve.training, curve.validation, strict=True)] for curve in model.config.curves]
    by_epoch = [[float(value) for value in logged[name][: QUICK.epochs]] for name in ("training:loss", "validation:loss")]
    if fine_tuning == "linear":
        assert curves == []
    else:
        assert curves == [[pytest.approx(losses, rel=1e-5, abs=1e-6) for losses in zip(*by_epoch, strict=True)]]
        assert model.config.curves[0].best == validation.epoch
    names = {path.name for path in output.iterdir()}
    assert names == {
        "config.json",
        "code",
        "baseline.safetensors",
        "head.safetensors",
        "drift-baseline.json",
        "learned-from.json",
    } | ({"encoder.safetensors"} if fine_tuning != "linear" else set())


def test_the_artefact_keeps_the_patches_it_learnt_from(mhist, trained):
    content = (mhist.job(trained("linear")[0]).output("model") / "learned-from.json").read_bytes()
    learned_from = json.loads(content)
    assert learned_from["contents"] == {"patches": sorted(row.sha256 for row in mhist.rows if row.split != "test")}
    assert (learned_from["pseudonyms"], learned_from["names"]) == ({"groups": []}, {})


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_baseline_learns_the_labels_that_the_model_learns(mhist, trained, tmp_path, shuffled):
    """The same permuted ones, where the control is asked for; votes, where the model learns votes."""
    from pathology.commands.train_mhist import main
    from pathology.tasks.mhist import baseline
    from pathology.tasks.mhist.artefact import MhistConfig
    from pathology.tasks.mhist.training import training_side
    from pathology.training.baseline import read_baseline

    settings = QUICK.model_copy(update={"shuffle_labels": shuffled, "soft_labels": shuffled})
    job = mhist.job(shutil.copytree(trained("linear")[0], tmp_path / "ml"), shuffle_labels=shuffled, soft_labels=shuffled)
    if shuffled:
        main(job)
    rows = ([row for row in mhist.rows if row.split == split] for split in ("train", "validation"))
    sides = [training_side(of, mhist.root / "images", 224, settings, number) for number, of in enumerate(rows)]
    again = baseline.fit(*(given for side in sides for given in (side.patches, side.targets)))
    output = job.output("model")
    found = read_baseline(output, MhistConfig.model_validate_json((output / "config.json").read_bytes()))
    assert np.array_equal(found.weight, again.weight)
    assert (found.threshold, found.items, found.positives) == (again.threshold, COUNTS["train"], COUNTS["train"] // 2)
    served = {path.name for path in (output / "code").rglob("*.py")}
    assert "serving.py" in served and not {"baseline.py", "logistic.py"} & served


def test_by_evas_protocol_the_test_has_a_say_and_the_evaluation_asks_before_it_scores(
    mhist, trained, tmp_path, monkeypatch, capsys
):
    from pathology.commands import evaluate_mhist, train_mhist
    from pathology.patches.eva import EvaProtocol
    from pathology.tasks.mhist.serving import model_fn

    monkeypatch.setattr(train_mhist, "EVA", EvaProtocol(steps=120, batch_size=16, learning_rate=0.01, runs=3))
    job = mhist.job(shutil.copytree(trained("linear")[0], tmp_path / "ml"), protocol="eva", seed=4)
    shutil.rmtree(job.output("model"))
    train_mhist.main(job)
    assert re.search(
        r"^protocol eva: mean of 3 runs [01]\.\d{4} \([01]\.\d{4} to [01]\.\d{4}\)$", capsys.readouterr().out, re.MULTILINE
    )
    config = model_fn(job.output("model"), mhist.root / "models").config
    assert (config.threshold, config.eva.patches, config.eva.steps) == (0.5, COUNTS["train"] + COUNTS["validation"], 120)
    assert [run.seed for run in config.eva.runs] == [4, 5, 6] and config.validation.patches == COUNTS["test"]
    assert config.baseline.items == COUNTS["train"]  # whose choices are made on validation all the same

    inputs = {
        "model": pack(job.output("model"), tmp_path / "packed"),
        "models": mhist.root / "models",
        "encoder": mhist.root / "models" / "tiny",
    }
    inputs |= {"patches": job.input("patches"), "images": mhist.root / "images"}
    settings = EvaluateMhist(resamples=100)
    with pytest.raises(DataError, match=r"learnt from 32 of the 32 test patches .* 'allow-seen' to true"):
        evaluate_mhist.main(processing_job(tmp_path / "refused", settings, inputs, ("evaluation",)))
    settings = settings.model_copy(update={"allow_seen": True})
    evaluate_mhist.main(processing_job(tmp_path / "allowed", settings, inputs, ("evaluation",)))
    block = strict_json(tmp_path / "allowed" / "evaluation" / "evaluation.json")["pathology"]
    assert block["intervals"]["balanced_accuracy"]["value"] == pytest.approx(
        block["eva"]["runs"][0]["balanced_accuracy"], abs=0.04
    )
    assert block["eva"]["mean"] == pytest.approx(np.mean([run.balanced_accuracy for run in config.eva.runs]))
    assert any("chosen on these very test patches" in warning for warning in block["warnings"])
    assert block["eva"]["published"] is None and "own partition" in block["eva"]["departures"][0]
    text = Page((tmp_path / "allowed" / "evaluation" / "report.html").read_text()).text
    assert "the epoch is the one with the best balanced accuracy on these very test patches" in text
    assert (
        "By eva's protocol 3 linear heads on the frozen encoder, each trained for at most 120 steps of 16 patches by AdamW at 0.01"
        in text
    )
    assert f"Mean balanced accuracy of the runs: {block['eva']['mean']:.3f}." in text
    assert "Not eva's protocol in all" in text and "validation patches, where the AUROC" not in text


def test_evas_protocol_goes_with_a_probe_on_hard_labels():
    for changed in ({"fine-tuning": "lora"}, {"soft-labels": "true"}):
        with pytest.raises(RequestError, match="protocol eva trains a linear head alone, on hard labels"):
            TrainMhist.parse({"protocol": "eva", **changed}, "train")


class Reached(Exception):  # noqa: N818 - no error
    """Training would begin."""


@pytest.mark.parametrize(("fine_tuning", "learner"), [("linear", "fit_probe"), ("lora", "train")])
def test_permuted_labels_are_the_same_labels_of_other_patches(mhist, tmp_path, monkeypatch, fine_tuning, learner):
    """On both sides. That nothing can be learnt from such labels is tests/pathology/tasks/mhist/test_learning.py's to show."""
    from pathology.commands import train_mhist
    from pathology.patches import learning

    def probe(embeddings, targets, validated, validation_targets):
        raise Reached(targets, validation_targets)

    def train(classifier, data, validation, settings, folder, workers):
        raise Reached(*(np.array([float(side.raw(index)[1]) for index in range(len(side))]) for side in (data, validation)))

    monkeypatch.setattr(learning, learner, probe if fine_tuning == "linear" else train)
    with pytest.raises(Reached) as reached:
        train_mhist.main(mhist.job(tmp_path, fine_tuning=fine_tuning, shuffle_labels=True))
    for split, learnt in zip(("train", "validation"), reached.value.args, strict=True):
        true = mhist.labels(split)
        assert sorted(learnt) == sorted(true)
        assert 0.3 < np.mean(learnt == true) < 0.7


@pytest.mark.slow
def test_linear_is_scikit_learns_logistic_regression(mhist, linear):
    from pathology.tasks.mhist.serving import input_fn
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def embed(split):
        return linear.encoder.embed(np.stack([input_fn(body) for body in mhist.requests(split)])).astype(float)

    penalties = [10.0**power for power in range(-5, 5)]
    losses, probabilities = [], []
    for penalty in penalties:
        reference = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=5000, tol=1e-6))
        reference.fit(embed("train"), mhist.labels("train"))
        on_validation = reference.predict_proba(embed("validation"))[np.arange(COUNTS["validation"]), mhist.labels("validation")]
        losses.append(-np.log(on_validation).mean())
        probabilities.append(reference.predict_proba(embed("test"))[:, 1])
    assert np.allclose(mhist.scores(linear), probabilities[int(np.argmin(losses))], atol=1e-3)


def test_the_second_run_reads_its_embeddings_and_gives_the_same_bytes(mhist, trained, tmp_path, monkeypatch):
    from pathology.commands.train_mhist import main
    from pathology.encoders import embedding_cache

    folder = shutil.copytree(trained("linear")[0], tmp_path / "ml")
    job = mhist.job(folder)

    def files():
        return {path.name: path.read_bytes() for path in job.output("model").iterdir() if path.is_file()}

    def never(*given):
        raise AssertionError("an embedding is computed again")

    first = files()
    monkeypatch.setattr(embedding_cache, "embed_all", never)
    main(job)
    assert files() == first
    main(mhist.job(folder, seed=1, soft_labels=True))  # other settings, the same images


def test_soft_labels_lower_the_certainty(mhist, trained, linear, tmp_path):
    from pathology.commands.train_mhist import main
    from pathology.tasks.mhist.serving import model_fn

    job = mhist.job(shutil.copytree(trained("linear")[0], tmp_path / "ml"), soft_labels=True)
    main(job)
    hard, soft = mhist.scores(linear), mhist.scores(model_fn(job.output("model"), mhist.root / "models"))
    assert np.abs(soft - 0.5).mean() < np.abs(hard - 0.5).mean() - 0.03
    assert auroc(mhist.labels(), soft) > 0.9


def test_one_process_trains_where_there_is_no_torchrun(mhist, tmp_path, capsys):
    from pathology.commands.train_mhist import main

    for fine_tuning in ("linear", "full"):
        job = replace(mhist.job(tmp_path, fine_tuning=fine_tuning), hosts=("algo-1", "algo-2"), host="algo-2")
        main(job)
        assert "algo-2: fine-tuning" in capsys.readouterr().out
        assert not list(job.output("model").iterdir())


def test_what_is_wrong_is_named(mhist, tmp_path):
    from pathology.commands.train_mhist import main

    with pytest.raises(RequestError, match="blocks 3: the encoder has 2"):
        main(mhist.job(tmp_path, fine_tuning="last-blocks", blocks=3))
    with pytest.raises(RequestError, match="batch-size 16 is global and is shared by 1 processes in 3 parts"):
        main(mhist.job(tmp_path, fine_tuning="lora", accumulation=3))
    job = mhist.job(tmp_path)
    with pytest.raises(DataError, match=r"no encoder.json there"):
        main(replace(job, inputs=job.inputs | {"models": tmp_path}))
    with pytest.raises(DataError, match="train_0000.png"):
        main(replace(job, inputs=job.inputs | {"training": tmp_path}))


def test_answers_and_refusals(mhist, linear):
    from pathology.tasks.mhist.serving import input_fn, output_fn, predict_fn

    (answer,) = predict_fn([input_fn(mhist.requests()[1], "image/png; charset=binary")], linear)
    assert set(answer) == {"label", "probability", "threshold", "model_version"}
    assert answer["label"] == ("SSA" if answer["probability"] >= answer["threshold"] else "HP")
    assert re.fullmatch("[0-9a-f]{12}", answer["model_version"])
    assert json.loads(output_fn(answer, "text/html, */*;q=0.1")) == answer
    assert predict_fn([], linear) == []
    with pytest.raises(RequestError, match="the answer is application/json"):
        output_fn(answer, "application/x-npy")
    for kind in ("application/json", "application/x-npy", ""):
        with pytest.raises(RequestError, match="send image/png or image/jpeg"):
            input_fn(mhist.requests()[0], kind)
    with pytest.raises(DataError, match="the patch"):
        input_fn(b"\x89PNG", "image/png")
    large = io.BytesIO()
    Image.fromarray(np.zeros((448, 448, 3), np.uint8)).save(large, "JPEG")
    assert input_fn(large.getvalue(), "image/jpeg").shape == (224, 224, 3)


@pytest.mark.slow
def test_the_packed_code_serves_without_the_repository(mhist, trained, tmp_path):
    """A fresh process whose only ``pathology`` is the artefact's own, as on an endpoint."""
    from pathology.tasks.mhist.serving import input_fn, model_fn, predict_fn

    model = mhist.job(shutil.copytree(trained("lora")[0], tmp_path / "ml")).output("model")
    script = """
import sys
code, model, picture = sys.argv[1:]
sys.path.insert(0, code)
import inference, pathology
assert pathology.__file__.startswith(code), pathology.__file__
patch = inference.input_fn(open(picture, "rb").read(), "image/png")
print(inference.output_fn(inference.predict_fn([patch], inference.model_fn(model))[0]).decode())
print(sorted({"lightning", "sklearn", "pandas", "matplotlib"} & set(sys.modules)))
"""
    picture = mhist.root / "images" / "test_0001.png"
    done = subprocess.run(
        [sys.executable, "-c", script, str(model / "code"), str(model), str(picture)],
        cwd=tmp_path, env={**os.environ, "PATHOLOGY_ENCODER": str(mhist.root / "models")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    expected = predict_fn([input_fn(picture.read_bytes())], model_fn(model, mhist.root / "models"))[0]
    answer = json.loads(lines[-2])
    assert answer["probability"] == pytest.approx(expected["probability"], abs=1e-6)
    assert answer["model_version"] == expected["model_version"]
    assert lines[-1] == "[]"


@pytest.mark.parametrize("fine_tuning", ["linear", "lora"])
def test_the_drift_baseline_is_of_the_train_patches_alone(mhist, trained, fine_tuning):
    """By another way: each train patch embedded by the packed model's own encoder; validation and test are in none of it."""
    from pathology.contracts.drift import DriftBaseline
    from pathology.encoders.job_encoder import find_encoder
    from pathology.patches.dataset import read_patch
    from pathology.tasks.mhist import serving

    job = mhist.job(trained(fine_tuning)[0])
    content = (job.output("model") / "drift-baseline.json").read_bytes()
    model = serving.model_fn(job.output("model"), find_encoder(job)[0])
    assert model.config.drift_baseline == hashlib.sha256(content).hexdigest()
    made, train = DriftBaseline.from_json(content, "it"), [row for row in mhist.rows if row.split == "train"]
    patches = np.stack([read_patch(job.input("training"), row, model.config.pixels) for row in train])
    embeddings = model.encoder.embed(patches).astype(float)
    assert (made.items, made.taken, made.splits, made.encoder_sha256) == (
        len(train),
        len(train),
        ("train",),
        model.config.encoder.sha256,
    )
    np.testing.assert_allclose(made.embeddings.mean, embeddings.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(made.embeddings.sd, embeddings.std(axis=0, ddof=1), atol=2e-3)
    np.testing.assert_allclose(made.colours.reference.mean[:3], patches.mean(axis=(0, 1, 2)), rtol=1e-5)
