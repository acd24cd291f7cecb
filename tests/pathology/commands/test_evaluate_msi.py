"""EvaluateMsi: every number recomputed from predictions.csv with scikit-learn; nothing dropped; one file that needs nothing."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from cards import check_card
from endpoints import listening
from msi_jobs import QUICK, MsiRun, processing_job, slide_row, strict_json, write_cohort, write_flow, write_table
from packed import without_baseline, without_drift_baseline, without_list
from pages import Page, check_in_browser
from pathology.contracts.code import command_code
from pathology.contracts.errors import DataError
from pathology.contracts.log_lines import TRAINING_LOSS, VALIDATION_LOSS
from pathology.contracts.msi.evaluate import EvaluateMsi, MsiEvaluation
from scipy.stats import binomtest


@pytest.fixture(scope="module")
def evaluated(msi_run, tmp_path_factory):
    """The planted run's evaluation: folder, evaluation.json, predictions, log."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
        return folder, *msi_run.evaluate(folder)


def test_signal_is_found_in_patients_never_seen(evaluated):
    _, evaluation, predictions, log = evaluated
    block = evaluation["pathology"]
    assert block["intervals"]["auroc"]["low"] > 0.5
    assert block["n"] == len(predictions) == 40
    assert block["positives"] == sum(row.label for row in predictions) == 16
    value = block["intervals"]["auroc"]["value"]
    assert re.search(rf"^AUROC {value:.3f} \(95% interval 0\.\d+ to [01]\.\d+\), 40 patients, 16 positive$", log, re.MULTILINE)


def test_the_endpoint_answers_what_was_evaluated(evaluated, msi_run, monkeypatch):
    """Over HTTP, eight at a time, every test patient."""
    from pathology.tasks.msi import serving

    _, evaluation, predictions, _ = evaluated
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    slides = {row.slide_id: {name: getattr(row, name) for name in ("slide_id", "features", "sha256")} for row in msi_run.slides}
    bodies = [json.dumps({"slides": [slides[name] for name in row.slide_ids.split(";")]}) for row in predictions]
    with listening(serving, serving.model_fn(msi_run.root / "ml" / "model")) as endpoint:
        answers = endpoint.crowd([(body, {"Content-Type": "application/json"}) for body in bodies], 8)
    for row, answer in zip(predictions, (answer.json() for answer in answers), strict=True):
        assert (answer["probability"], answer["fold_std"]) == (row.probability, row.fold_std)  # the same sums: the same number
        assert answer["label"] == ("MSS", "MSI-H")[row.predicted]
        assert answer["model_version"] == evaluation["pathology"]["model"]["version"]


@pytest.mark.parametrize("fault", ["raises", "forgets"])
def test_a_version_whose_geojson_cannot_be_written_is_not_evaluated(msi_run, tmp_path, monkeypatch, fault):
    """Its probabilities are right, and no registration follows."""
    from pathology.tasks.msi import serving

    def faulty(*arguments, **members):
        if fault == "raises":
            raise RuntimeError("a ring does not close")
        return b'{"features": [], "tiles_left_out": 1}'

    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    monkeypatch.setattr(serving, "attention_geojson", faulty)
    said = {
        "raises": "a ring does not close",
        "forgets": r"patient P000: the endpoint's GeoJSON is of 1 tiles and \d+ were pooled: ",
    }
    with pytest.raises((RuntimeError, DataError), match=said[fault]):
        msi_run.evaluate(tmp_path)
    assert not (tmp_path / "evaluation" / "evaluation.json").exists()


def test_every_number_follows_from_predictions(evaluated):
    from sklearn import metrics

    _, evaluation, predictions, _ = evaluated
    block, studio = evaluation["pathology"], evaluation["binary_classification_metrics"]
    truth = np.array([row.label for row in predictions])
    score = np.array([row.probability for row in predictions])
    called = np.array([row.predicted for row in predictions])
    assert (called == (score >= block["threshold"])).all()

    matrix = metrics.confusion_matrix(truth, called)
    assert [[studio["confusion_matrix"][a][b] for b in "01"] for a in "01"] == matrix.tolist()
    (tn, fp), (fn, tp) = matrix
    expected = {
        "auc": metrics.roc_auc_score(truth, score),
        "accuracy": metrics.accuracy_score(truth, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, called),
        "precision": metrics.precision_score(truth, called),
        "recall": metrics.recall_score(truth, called),
        "true_positive_rate": tp / (tp + fn),
        "true_negative_rate": tn / (tn + fp),
        "false_positive_rate": fp / (tn + fp),
        "false_negative_rate": fn / (tp + fn),
        "f0_5": metrics.fbeta_score(truth, called, beta=0.5),
        "f1": metrics.f1_score(truth, called),
        "f2": metrics.fbeta_score(truth, called, beta=2),
    }
    curves = {"confusion_matrix", "receiver_operating_characteristic_curve", "precision_recall_curve"}
    assert set(studio) == set(expected) | curves
    for name, value in expected.items():
        assert studio[name]["value"] == pytest.approx(value), name
        assert studio[name]["standard_deviation"] >= 0

    false_rates, true_rates, _ = metrics.roc_curve(truth, score, drop_intermediate=False)
    roc = studio["receiver_operating_characteristic_curve"]
    assert roc["false_positive_rates"] == pytest.approx(false_rates.tolist())
    assert roc["true_positive_rates"] == pytest.approx(true_rates.tolist())
    precisions, recalls, _ = metrics.precision_recall_curve(truth, score)
    assert studio["precision_recall_curve"]["precisions"] == pytest.approx(precisions.tolist())
    assert studio["precision_recall_curve"]["recalls"] == pytest.approx(recalls.tolist())

    assert block["brier"] == pytest.approx(metrics.brier_score_loss(truth, score))
    intervals = block["intervals"]
    assert intervals["average_precision"]["value"] == pytest.approx(metrics.average_precision_score(truth, score))
    wilson = binomtest(int(tp), int(tp + fn)).proportion_ci(0.95, method="wilson")
    assert (intervals["sensitivity"]["low"], intervals["sensitivity"]["high"]) == pytest.approx((wilson.low, wilson.high))
    for bounds in intervals.values():
        assert bounds["low"] <= bounds["value"] <= bounds["high"]


def test_tables_follow_from_predictions(evaluated):
    _, evaluation, predictions, _ = evaluated
    block = evaluation["pathology"]
    for site in block["sites"]:
        of_site = [row for row in predictions if row.site == site["site"]]
        assert (site["n"], site["positives"]) == (len(of_site), sum(row.label for row in of_site))
        assert site["found"] == sum(row.label and row.predicted for row in of_site)
        assert site["right"] == sum(not row.label and not row.predicted for row in of_site)
        assert site["auroc"] is None  # of 40 patients no site has 12 positive and 48 negative
    assert sum(group["n"] for group in block["calibration"]) == block["n"]
    assert sum(group["positives"] for group in block["calibration"]) == block["positives"]
    for group in block["calibration"]:
        wilson = binomtest(group["positives"], group["n"]).proportion_ci(0.95, method="wilson")
        assert (group["observed"]["low"], group["observed"]["high"]) == pytest.approx((wilson.low, wilson.high))
    means = [group["mean_probability"] for group in block["calibration"]]
    assert means == sorted(means)


def test_what_was_evaluated_is_named_by_hash(evaluated, msi_run):
    folder, evaluation, predictions, log = evaluated
    block = evaluation["pathology"]
    assert block["model"]["archive_sha256"] == hashlib.sha256((msi_run.packed() / "model.tar.gz").read_bytes()).hexdigest()
    assert block["data"]["cohort_sha256"] == hashlib.sha256((folder / "cohort" / "cohort.csv").read_bytes()).hexdigest()
    assert block["data_uris"] == {"cohort": "s3://bucket/cohort/cohort.csv", "slides": "s3://bucket/slides/slides.csv"}
    assert block["computed_by"] is None and block["model"]["archive_uri"] == "s3://bucket/model/model.tar.gz"
    assert block["model"]["trained_on_this_cohort"] is True
    assert block["seen"] == {"unit": "patients", "test_items": 40, "seen": 0, "names": []}
    assert "seen in training: 0 of 40 test patients" in log
    assert block["model"]["serving_code"] == block["model"]["evaluated_with_code"]
    assert block["encoder"] == {
        "name": "tiny",
        "sha256": "a" * 64,
        "verified": False,
        "origin": "placeholder with seeded weights",
        "placeholder": True,
        "source": None,
        "remark": "seeded, for tests",
    }
    assert "a placeholder with seeded weights, not a published foundation model (seeded, for tests)" in block["warnings"][0]
    assert "warning: The encoder tiny is a placeholder with seeded weights" in log
    assert [row.patient_id for row in predictions] == sorted({row.patient_id for row in msi_run.cohort if row.split == "test"})
    parsed = MsiEvaluation.from_json((folder / "evaluation" / "evaluation.json").read_bytes(), "evaluation.json")
    assert parsed.to_json() == (folder / "evaluation" / "evaluation.json").read_bytes()


def test_the_report_is_one_file_that_says_it_plainly(evaluated):
    folder, evaluation, predictions, _ = evaluated
    source = (folder / "evaluation" / "report.html").read_text()
    page = Page(source)
    assert len(page.references) == 6 + 2 and all(item.startswith("data:image/svg+xml;base64,") for item in page.references)
    assert "url(" not in source and "@import" not in source and page.scripts == 1
    text = page.text
    auroc = evaluation["pathology"]["intervals"]["auroc"]
    assert f"95% interval {auroc['low']:.3f} to {auroc['high']:.3f}" in text
    assert "a placeholder with seeded weights, not a published foundation model" in text
    assert "What it must not be used for" in text
    block = evaluation["pathology"]
    assert "always answering the class with more patients reaches 0.600." in text  # 24 of 40
    assert "chance is the fraction of positives, 0.400." in text
    assert "patients in 5 groups by probability, 8 in each, with Wilson's intervals." in text
    tiles = block["tiles"]
    assert (
        f"From the {block['slides']} slides of these patients that have features the model pooled all {tiles['pooled']:,}" in text
    )
    (epoch,) = set(block["model"]["epochs"])
    assert f"The folds' models are from epoch {epoch}, which has the least loss over all patients held out" in text
    wrong = [row for row in predictions if row.predicted != row.label]
    assert f"{len(wrong)} of 40 patients were called wrong" in text
    assert wrong and all(row.patient_id in text for row in wrong[:10])


def test_the_report_has_the_operating_points_of_the_model(evaluated, msi_run):
    folder, evaluation, predictions, _ = evaluated
    text = Page((folder / "evaluation" / "report.html").read_text()).text
    kept = strict_json(msi_run.root / "ml" / "model" / "config.json")["operating_points"]
    rows = evaluation["pathology"]["operating_points"]
    assert [row["point"] for row in rows] == kept and [row["decides"] for row in rows] == [True, False, False]
    for row in rows:
        threshold = row["point"]["threshold"]
        missed = sum(each.label and each.probability < threshold for each in predictions)
        alarms = sum(not each.label and each.probability >= threshold for each in predictions)
        found = binomtest(16 - missed, 16).proportion_ci(0.95, method="wilson")
        counts = f"{threshold:.3f} {missed} of 16 {alarms} of 24"
        assert f"{counts} {1 - missed / 16:.3f} {found.low:.3f} – {found.high:.3f} {1 - alarms / 24:.3f}" in text
    assert (
        "with 24 training positives no threshold promises 95% with 95% confidence: the lowest score promises 88.3% with 95%"
        in text
    )
    assert "The model's own label is decided by: Youden's" in text and "see Operating points: Youden's" in text
    assert "which in simulation is on the safe side (docs/statistics.md). For another hospital" in text
    assert "Confirmatory tests saved per 100" in text
    shown = [
        f"{name} {title} {row['at_prevalence'][number]['positive_predictive_value']['value']:.3f}"
        for number, name in enumerate(("5%", "15%", "40% this test"))
        for row, title in zip(rows, ("Youden's", "Nominal", "Promised"), strict=True)
    ]
    places = [text.find(words) for words in shown]
    assert -1 not in places and places == sorted(places)


def test_probabilities_are_said_to_be_recalibrated_where_they_are(evaluated, msi_run):
    from pathology.contracts.msi.evaluate import MsiEvaluation
    from pathology.tasks.msi.report import render

    folder, evaluation, predictions, _ = evaluated
    text = Page((folder / "evaluation" / "report.html").read_text()).text
    averaging = evaluation["pathology"]["model"]["calibration"]["averaging"]
    assert f"Platt's scaling, and its slope times {averaging:.2f} for what averaging" in text
    assert "Their logits, brought to one scale, are averaged" in text and "Their mean is the probability" not in text
    older = MsiEvaluation.from_json((folder / "evaluation" / "evaluation.json").read_bytes(), "evaluation.json")
    older.pathology.model.__dict__["calibration"] = None
    text = Page(render(older, predictions)).text
    assert "Their mean is the probability." in text and "on the patients whom it was then scored on (epochs" in text
    assert "Probabilities are the mean of the folds', not recalibrated" in text and "Platt's" not in text


def test_published_operating_points_stand_beside_and_are_not_compared(evaluated):
    text = Page((evaluated[0] / "evaluation" / "report.html").read_text()).text
    assert "Other cohorts, not to be compared with ours" in text
    for words in (
        "Deepath-MSI test set (AUROC 0.98), sensitivity set beforehand 0.95 0.92 npj Precision Oncology 2025",
        "Deepath-MSI real-world cohort 0.95 0.91",
        "MSIntuit blind validation, every slide on two scanners (κ 0.82) 0.96 – 0.98 0.46 – 0.47 Nature Communications 2023",
        "PAICON five external cohorts, with a reject option: of the cases that it decides 0.85 – 1.00 0.99 – 1.00 medRxiv",
        "tested on PAIP; for pre-screening 0.90 0.65",
        "tested on PAIP; for pre-screening 0.94 0.45",
    ):
        assert words in text


def test_where_slides_lie_is_said_of_every_patient_and_shown_of_the_mistakes(evaluated, msi_run):
    folder, _, predictions, _ = evaluated
    lie = {row.slide_id: row.slide_uri for row in msi_run.cohort if row.split == "test"}
    assert {name: uri for row in predictions for name, uri in row.where} == lie
    assert all(len(row.where) == row.slides and row.where == sorted(row.where) for row in predictions)
    text = Page((folder / "evaluation" / "report.html").read_text()).text
    wrong = [row for row in predictions if row.predicted != row.label]
    assert all(f"{name} {uri}" in text for row in wrong[:10] for name, uri in row.where)
    right = [row for row in predictions if row.predicted == row.label]
    assert not any(uri in text for row in right for _, uri in row.where)


def test_an_address_with_a_semicolon_stays_one(evaluated, msi_run):
    from pathology.commands.evaluate_msi import prediction
    from pathology.tasks.msi.artefact import load_ensemble
    from pathology.tasks.msi.dataset import patients_of

    test = [row for row in msi_run.cohort if row.split == "test"]
    patient = patients_of(test, msi_run.slides)[0][0]
    uris = {row.slide_id: f"s3://bucket/a;b/{row.slide_id}.svs" for row in patient.slides}
    answer = {"probability": 0.5, "fold_std": 0.1, "label": "x"}
    row = prediction(patient, answer, load_ensemble(msi_run.root / "ml" / "model"), uris)
    assert row.where == [(slide.slide_id, f"s3://bucket/a%3Bb/{slide.slide_id}.svs") for slide in patient.slides]


def test_the_report_is_read_and_sorted_on_a_phone_and_printed_whole(evaluated, chromium):
    check_in_browser(chromium, evaluated[0] / "evaluation" / "report.html")


def test_tiles_and_slides_are_those_of_the_tables(evaluated, msi_run):
    block = evaluated[1]["pathology"]
    split = {row.slide_id: row.split for row in msi_run.cohort}
    for side, figures in block["sides"].items():
        rows = [row for row in msi_run.slides if split[row.slide_id] == side]
        assert (figures["slides"], figures["tiles"]) == (len(rows), sum(row.tiles for row in rows))
        assert figures["scales"] == [{"source": "aperio", "slides": len(rows), "low": 0.5, "high": 0.5}]
    pooled = block["sides"]["test"]["tiles"]
    assert block["tiles"] == {"pooled": pooled, "with_tissue": pooled, "failed": 0, "sampled": 0}


def test_training_is_told_by_the_model_itself(evaluated, msi_run):
    """Settings, code and losses as the training's own log and closure have them."""
    model = evaluated[1]["pathology"]["model"]
    assert model["training"]["settings"] == QUICK.as_strings()
    assert model["training"]["code"] == command_code("train_msi_tcga").hash
    curves = model["training"]["curves"]
    assert [curve["name"] for curve in curves] == ["fold 0", "fold 1", "fold 2"]
    assert [curve["best"] for curve in curves] == model["epochs"]
    for side, name in (("training", TRAINING_LOSS), ("validation", VALIDATION_LOSS)):
        logged = [float(value) for value in re.findall(rf"^{name}: (\S+)$", msi_run.log, re.MULTILINE)]
        losses = [loss for curve in curves for loss in curve[side]]
        assert losses == pytest.approx(logged[: len(losses)], rel=1e-5)
        assert len(logged) - len(losses) == (side == "validation")  # and the whole cross-validation's
    assert len({curve["best"] for curve in curves}) == 1  # all folds' models are from one epoch


def test_the_baseline_is_of_the_same_patients(evaluated, msi_run):
    """Fitted again with scikit-learn on the training patients, whose penalty the artefact names."""
    from pathology.wsi.features import read_features
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folder, evaluation, _, log = evaluated
    means, labels = {"train": {}, "test": {}}, {}
    for row in msi_run.cohort:
        tiles = read_features(msi_run.feature_file(row.slide_id), row.slide_id).features.astype(float)
        means[row.split].setdefault(row.patient_id, []).append(tiles)
        labels[row.patient_id] = row.label
    sides = {
        split: (np.stack([np.concatenate(tiles).mean(0) for tiles in of.values()]), [labels[name] for name in of])
        for split, of in means.items()
    }
    config = strict_json(msi_run.root / "ml" / "model" / "config.json")["baseline"]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=config["inverse_penalty"], max_iter=5000, tol=1e-6))
    probability = pipeline.fit(*sides["train"]).predict_proba(sides["test"][0])[:, 1]
    found = evaluation["pathology"]["baseline"]
    area = found["intervals"]["auroc"]
    assert area["value"] == pytest.approx(roc_auc_score(sides["test"][1], probability), abs=1e-9)
    assert area["low"] > 0.5  # in patients that it has never seen
    assert (found["name"], found["fitted_on"], found["positives"]) == ("mean-of-tiles", 60, 24)
    model = evaluation["pathology"]["intervals"]["auroc"]
    expected = "higher" if model["low"] > area["value"] else "lower" if model["high"] < area["value"] else "within"
    assert found["standing"] == expected
    assert f"baseline (mean-of-tiles): auroc {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f})" in log
    text = Page((folder / "evaluation" / "report.html").read_text()).text
    assert (
        "A simple baseline on the same patients Logistic regression on the mean of a patient's tile features, fitted on 60 training"
        in text
    )
    assert f"AUROC {area['value']:.3f} {area['low']:.3f} – {area['high']:.3f} {model['value']:.3f} {model['low']:.3f}" in text
    assert "the difference has no interval here" in text


def test_an_artefact_of_before_there_was_a_baseline_says_so(evaluated, msi_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    evaluation, predictions, log = msi_run.evaluate(
        tmp_path / "job", model=without_baseline(msi_run.packed(), tmp_path / "older")
    )
    assert evaluation["pathology"]["baseline"] is None and predictions == evaluated[2]
    assert "baseline: none in this artefact" in log
    text = Page((tmp_path / "job" / "evaluation" / "report.html").read_text()).text
    assert "There is no baseline in this artefact" in text and "mean of a patient's tile features" not in text


def test_the_drift_baseline_lies_beside_the_evaluation(evaluated, msi_run):
    folder, evaluation, *_ = evaluated
    content = (folder / "evaluation" / "drift-baseline.json").read_bytes()
    assert content == (msi_run.root / "ml" / "model" / "drift-baseline.json").read_bytes()
    block = evaluation["pathology"]
    assert block["registry"]["drift_baseline_sha256"] == hashlib.sha256(content).hexdigest()
    said = block["model"]["drift_baseline"]
    assert (said["items"], said["taken"], said["unit"]) == (60, 60, "patients")
    assert said["colours"] == 0 < said["colours_unknown"]


def test_an_artefact_of_before_there_was_a_drift_baseline_says_so(evaluated, msi_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    stale = tmp_path / "job" / "evaluation" / "drift-baseline.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("another model's")
    older = without_drift_baseline(msi_run.packed(), tmp_path / "older")
    evaluation, predictions, log = msi_run.evaluate(tmp_path / "job", model=older)
    block = evaluation["pathology"]
    assert block["registry"]["drift_baseline_sha256"] == "none" and block["model"]["drift_baseline"] is None
    assert predictions == evaluated[2] and not stale.exists()
    assert "keeps no drift-baseline.json, as those of before" in log


def test_the_execution_is_named_where_the_output_lies_in_its_folder(msi_run, tmp_path, monkeypatch):
    from pathology.commands.evaluate_msi import main

    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    inputs = {
        "model": msi_run.packed(),
        "slides": write_table(tmp_path / "slides", "slides.csv", msi_run.slides),
        "cohort": write_cohort(tmp_path / "cohort", msi_run.cohort),
        "flow": write_flow(tmp_path / "flow", msi_run.cohort),
        "encoder": msi_run.models,
    }
    job = processing_job(tmp_path, EvaluateMsi(resamples=100), inputs, ("evaluation",))
    uri = "s3://bucket/runs/pathology-msi/k3j9x2m4q8zt/EvaluateMsi/evaluation"
    slides = "s3://bucket/features/cohorts/x/slides.csv"  # an input that is the file itself
    main(replace(job, output_uris={"evaluation": uri}, input_uris={**job.input_uris, "slides": slides}))
    block = strict_json(tmp_path / "evaluation" / "evaluation.json")["pathology"]
    run = {"pipeline": "pathology-msi", "execution": "k3j9x2m4q8zt", "step": "EvaluateMsi", "uri": uri}
    assert block["computed_by"] == run and block["data_uris"]["slides"] == slides
    page = Page((tmp_path / "evaluation" / "report.html").read_text())
    assert f"Computed by execution k3j9x2m4q8zt of pathology-msi, step EvaluateMsi {uri}" in page.text


def test_twice_the_same_bytes(evaluated, msi_run, tmp_path, monkeypatch):
    folder, *_ = evaluated
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    msi_run.evaluate(tmp_path / "again")
    for name in ("predictions.csv", "report.html", "evaluation.json"):
        assert (tmp_path / "again" / "evaluation" / name).read_bytes() == (folder / "evaluation" / name).read_bytes()


def test_a_patient_without_features_is_listed(evaluated, msi_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    patient = evaluated[2][0].patient_id
    slides = [slide_row(row.slide_id, "failed") if row.slide_id.startswith(patient) else row for row in msi_run.slides]
    evaluation, predictions, log = msi_run.evaluate(tmp_path / "a", slides)
    (lost,) = evaluation["pathology"]["not_evaluable"]
    assert (lost["patient_id"], lost["reason"]) == (patient, "failed: planted")
    assert patient not in {row.patient_id for row in predictions}
    assert evaluation["pathology"]["n"] == 39
    assert f"not evaluable: patient {patient}, failed: planted" in log
    assert "Not evaluated" in (tmp_path / "a" / "evaluation" / "report.html").read_text()

    positives = {row.patient_id for row in msi_run.cohort if row.label}
    none = [slide_row(row.slide_id, "empty") if row.slide_id[:4] in positives else row for row in msi_run.slides]
    with pytest.raises(DataError, match="0 are positive and 24 negative"):
        msi_run.evaluate(tmp_path / "b", none)


def test_a_feature_file_gone_is_named(evaluated, msi_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    slide = next(row.slide_id for row in msi_run.cohort if row.split == "test")
    path = msi_run.feature_file(slide)
    path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(DataError, match=f"slide {slide}: its feature file is gone"):
            msi_run.evaluate(tmp_path)
    finally:
        path.with_suffix(".away").rename(path)


@pytest.fixture
def run(msi_run, monkeypatch):
    """The planted run, its store at hand."""
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    return msi_run


def test_the_patients_that_were_learnt_from_are_refused_as_a_test(run, tmp_path):
    cohort = [row for row in run.cohort if row.split == "train"]
    cohort = [row.model_copy(update={"split": "test", "fold": None}) for row in cohort]
    names = sorted({row.patient_id for row in cohort})
    shown = ", ".join(names[:5])
    with pytest.raises(
        DataError, match=rf"learnt from 60 of the 60 test patients \({shown}, …\): .*'allow-seen' to true"
    ) as caught:
        run.evaluate(tmp_path / "refused", cohort=cohort)
    assert "\n" not in str(caught.value) and not list((tmp_path / "refused").rglob("evaluation.json"))
    evaluation, _, log = run.evaluate(tmp_path / "allowed", cohort=cohort, allow_seen=True, resamples=100)
    block = evaluation["pathology"]
    assert block["seen"] == {"unit": "patients", "test_items": 60, "seen": 60, "names": names[:5]}
    assert f"learnt from 60 of the 60 test patients ({shown}, …): they do not test it" in block["warnings"][0]
    assert f"warning: {block['warnings'][0]}" in log
    page = Page((tmp_path / "allowed" / "evaluation" / "report.html").read_text())
    assert block["warnings"][0] in page.text and "none was used in training" not in page.text


def test_a_patient_or_a_slide_under_another_name_is_known_again(run, tmp_path):
    """One test patient is a train patient in small letters; of another one slide is a train slide, in a file under another name."""
    train = {row.slide_id: row for row in run.cohort if row.split == "train"}
    test = sorted((row for row in run.cohort if row.split == "test"), key=lambda row: row.patient_id)
    again, renamed = test[0].patient_id, test[-1].slide_id
    content = next(row.content_sha256 for row in run.slides if row.slide_id in train)
    spelt = next(iter(train.values())).patient_id.lower()
    cohort = [row.model_copy(update={"patient_id": spelt}) if row.patient_id == again else row for row in run.cohort]
    slides = [row.model_copy(update={"content_sha256": content}) if row.slide_id == renamed else row for row in run.slides]
    with pytest.raises(DataError, match=rf"learnt from 2 of the 40 test patients \({test[-1].patient_id}, {spelt}\)"):
        run.evaluate(tmp_path, slides, cohort)


def test_a_model_without_a_list_is_unknown_and_says_so(evaluated, run, tmp_path):
    evaluation, predictions, log = run.evaluate(
        tmp_path / "job", model=without_list(run.packed(), tmp_path / "older"), resamples=100
    )
    seen, warning = evaluation["pathology"]["seen"], evaluation["pathology"]["warnings"][0]
    assert seen == {"unit": "patients", "test_items": 40, "seen": None, "names": []}
    assert warning.startswith("It is not known whether the model has learnt from these 40 test patients")
    assert "seen in training: unknown of 40 test patients" in log and f"warning: {warning}" in log
    assert warning in Page((tmp_path / "job" / "evaluation" / "report.html").read_text()).text
    assert predictions == evaluated[2]


@pytest.mark.slow
def test_permuted_labels_teach_nothing(tmp_path, monkeypatch):
    run = MsiRun(tmp_path, patients=100, positives=40, signal=2.5, permuted=True)
    run.train()
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(run.uris))
    evaluation, _, _ = run.evaluate(tmp_path / "evaluation")
    auroc = evaluation["pathology"]["intervals"]["auroc"]
    assert auroc["low"] < 0.5 < auroc["high"]


@pytest.mark.slow
def test_a_control_learns_nothing_and_its_report_says_so(tmp_path, monkeypatch):
    from pathology.tasks.msi.artefact import load_ensemble

    run = MsiRun(tmp_path, patients=100, positives=40, signal=2.5)
    folder = run.train(QUICK.model_copy(update={"shuffle_labels": True}))
    out_of_fold = load_ensemble(folder).config.out_of_fold
    assert out_of_fold.low < 0.5 < out_of_fold.high
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(run.uris))
    evaluation, _, _ = run.evaluate(tmp_path / "evaluation")
    assert "trained on permuted labels" in evaluation["pathology"]["warnings"][1]


def test_a_version_s_card_is_made_of_it(evaluated):
    _, evaluation, _, _ = evaluated
    check_card(evaluation)
