"""EvaluateLizard: a real artefact on a tiny encoder, through the functions that serve it; every score from predictions.csv alone."""

import csv
import hashlib
import io
import json
import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from cards import check_card
from endpoints import PNG, encoded, listening
from msi_jobs import write_table
from packed import without_list
from pages import Page, check_in_browser
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Seen
from pathology.contracts.intervals.clusters import NO_INTERVAL
from pathology.contracts.lizard.evaluate import LizardEvaluation
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.contracts.media import GEOJSON, NPY
from pathology.nuclei.counts import central_counts
from pathology.tasks.lizard.dataset import read_prepared
from pathology.tasks.lizard.rows import patch_rows


@pytest.fixture(scope="module")
def lizard(tmp_path_factory):
    from lizard_jobs import LizardRun

    return LizardRun(tmp_path_factory.mktemp("lizard"))


@pytest.fixture(scope="module")
def evaluated(lizard, tmp_path_factory):
    """Its evaluation: folder, evaluation.json, predictions, log."""
    folder = tmp_path_factory.mktemp("evaluation")
    return folder, *lizard.evaluate(folder)


def test_every_test_patch_is_scored_once_in_each_class(evaluated, lizard):
    from lizard_jobs import PATCHES, TEST
    from pathology.tasks.lizard import serving

    _, evaluation, predictions, log = evaluated
    assert [(row.patch, row.class_name) for row in predictions] == [
        (row.name, kind) for row in lizard.test for kind in (*LIZARD_CLASSES, "all")
    ]
    block = evaluation["pathology"]
    assert (block["n"], block["sources"]) == (TEST, TEST // PATCHES) and block["n"] > serving.BATCH
    assert block["nuclei"] == sum(row.nuclei for row in lizard.test)
    assert list(block["intervals"]) == ["bpq", "dice", "aji", "detection_f1", "centroid_f1", "mpq", "mpq_plus", "r2"]
    assert list(block["images"]) == ["bpq", "mpq", "dice", "aji"]
    for measured in (*block["intervals"].values(), *block["images"].values()):
        assert list(measured) == ["value", "lowest", "highest", "clusters"] and measured["clusters"] == 6
    assert block["intervals"]["bpq"]["lowest"] > 0.3 and block["intervals"]["dice"]["highest"] < 0.99
    assert set(block["interval_methods"].values()) == {NO_INTERVAL}
    assert f"{TEST} patches of 6 source images, {block['nuclei']:,} nuclei, {block['predicted']:,} found" in log
    assert "interval)" in log and "95% interval" not in log
    bpq = block["intervals"]["bpq"]
    words = f"({bpq['lowest']:.3f} to {bpq['highest']:.3f} as each of 6 is left out; no interval)"
    assert f"bpq {bpq['value']:.3f} {words}" in log


def test_the_scores_follow_from_predictions_csv_alone(evaluated):
    from sklearn import metrics

    folder, evaluation, _, _ = evaluated
    with (folder / "evaluation" / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    by_class, by_patch = defaultdict(list), defaultdict(dict)
    for line in table:
        row = {name: value if name in ("patch", "source", "class_name") else float(value) for name, value in line.items()}
        by_class[row["class_name"]].append(row)
        by_patch[row["patch"]][row["class_name"]] = row

    def quality(*rows):
        tp, fp, fn, iou = (sum(row[name] for row in rows) for name in ("tp", "fp", "fn", "iou_sum"))
        return iou / (tp + fp / 2 + fn / 2) if tp + fp + fn else 0.0

    def mean_of(values):
        values = list(values)
        return sum(values) / len(values)

    everything = by_class.pop("all")
    values = {name: bounds["value"] for name, bounds in evaluation["pathology"]["intervals"].items()}
    tp, wrong = sum(row["tp"] for row in everything), sum(row["fp"] + row["fn"] for row in everything)
    assert values == pytest.approx(
        {
            "bpq": mean_of(quality(row) for row in everything),
            "dice": mean_of(2 * row["pixels_both"] / (row["pixels_true"] + row["pixels_predicted"]) for row in everything),
            "aji": mean_of(row["aji_intersection"] / row["aji_union"] for row in everything),
            "detection_f1": 2 * tp / (2 * tp + wrong),
            "centroid_f1": 2 * sum(row["paired_12"] for row in everything) / (2 * tp + wrong),
            "mpq": mean_of(
                mean_of(quality(row) for kind, row in rows.items() if kind != "all" and row["tp"] + row["fn"])
                for rows in by_patch.values()
            ),
            "mpq_plus": mean_of(quality(*rows) for rows in by_class.values()),
            "r2": mean_of(
                metrics.r2_score([row["true_count"] for row in rows], [row["predicted_count"] for row in rows])
                for rows in by_class.values()
            ),
        },
        abs=1e-9,
    )
    for row in evaluation["pathology"]["classes"]:
        assert row["pq"]["value"] == pytest.approx(quality(*by_class[row["name"]]), abs=1e-9)
        assert row["f1"] == row["dq"] and row["true"] == sum(item["tp"] + item["fn"] for item in by_class[row["name"]])
        for name in ("paired_12", "paired_6"):
            f1 = row["centroid_f1" if name == "paired_12" else "centroid_f1_6"]["value"]
            assert f1 == pytest.approx(2 * sum(item[name] for item in by_class[row["name"]]) / (row["true"] + row["predicted"]))
        errors = [abs(item["true_count"] - item["predicted_count"]) for item in by_class[row["name"]]]
        assert row["count_error"] == pytest.approx(mean_of(errors))
    block = evaluation["pathology"]
    for row in block["published"]:
        measure, images = row["published"]["measure"], row["published"]["unit"] == "whole source image"
        ours = block["images" if images else "intervals"].get(measure)
        assert row["measured"] == ours or (measure.startswith("centroid_f1_") and row["published"]["model"] == "KongNet")
        assert row["standing"] is None and row["incomparable"]
    assert len(block["published"]) == 13


def test_images_are_scored_from_the_table_too(evaluated):
    _, evaluation, predictions, _ = evaluated
    by_source = defaultdict(list)
    for row in predictions:
        by_source[row.source].append(row)

    def quality(rows):
        tp, fp, fn, iou = (sum(getattr(row, name) for row in rows) for name in ("tp", "fp", "fn", "iou_sum"))
        return iou / (tp + fp / 2 + fn / 2) if tp + fp + fn else 0.0

    bpq, mpq = [], []
    for rows in by_source.values():
        bpq.append(quality([row for row in rows if row.class_name == "all"]))
        kinds = [[row for row in rows if row.class_name == kind] for kind in LIZARD_CLASSES]
        mpq.append(np.mean([quality(each) for each in kinds if sum(row.tp + row.fn for row in each)]))
    images = evaluation["pathology"]["images"]
    assert images["bpq"]["value"] == pytest.approx(np.mean(bpq)) != evaluation["pathology"]["intervals"]["bpq"]["value"]
    assert images["mpq"]["value"] == pytest.approx(np.mean(mpq))


def test_the_baseline_is_fitted_on_the_train_side_and_stands_beside(evaluated, lizard):
    from pathology.tasks.lizard import baseline
    from pathology.tasks.lizard.dataset import Nuclei

    _, evaluation, _, log = evaluated
    rows, dataset = read_prepared(lizard.patches)
    block = evaluation["pathology"]["baseline"]
    train = Nuclei(lizard.dataset, [row for row in rows if row.split == "train"], dataset)
    simple = baseline.fit(train, 6)
    assert (block["fitted_patches"], block["threshold"]) == (simple.patches, simple.threshold) == (len(train), simple.threshold)
    assert block["nucleus_class"] == LIZARD_CLASSES[simple.kind - 1]
    assert f"fitted on {len(train)} of {len(train)} patches of the train side" in log
    test = Nuclei(lizard.dataset, lizard.test, dataset)
    errors = [abs(simple.counts(test.image(n)) - central_counts(test[n][1], 6)) for n in range(len(test))]
    assert [row["count_error"] for row in block["classes"]] == pytest.approx(np.mean(errors, axis=0))
    assert list(block["intervals"]) == list(block["standing"]) == list(evaluation["pathology"]["intervals"])
    assert set(block["standing"].values()) == {None}  # without an interval nothing is said


def test_the_classes_of_what_was_found(evaluated):
    from sklearn import metrics

    _, evaluation, _, _ = evaluated
    table, studio = evaluation["pathology"]["confusion"], evaluation["multiclass_classification_metrics"]
    matched = np.array(table["matched"])
    by_class = evaluation["pathology"]["classes"]
    assert (matched.sum(1) + table["false_negatives"]).tolist() == [row["true"] for row in by_class]
    assert (matched.sum(0) + table["false_positives"]).tolist() == [row["predicted"] for row in by_class]
    assert studio["confusion_matrix"] == {
        str(actual + 1): {str(called + 1): int(matched[actual, called]) for called in range(6)} for actual in range(6)
    }
    assert 0 < matched.trace() < matched.sum()
    actual = np.repeat(np.arange(6), matched.sum(1))
    called = np.concatenate([np.repeat(np.arange(6), row) for row in matched])
    constant = np.full_like(actual, matched.sum(1).argmax())
    for suffix, predicted in (("", called), ("_best_constant_classifier", constant)):
        expected = {
            f"accuracy{suffix}": metrics.accuracy_score(actual, predicted),
            f"weighted_recall{suffix}": metrics.recall_score(actual, predicted, average="weighted"),
            f"weighted_precision{suffix}": metrics.precision_score(actual, predicted, average="weighted", zero_division=0),
            **{
                f"weighted_{name}{suffix}": metrics.fbeta_score(actual, predicted, beta=beta, average="weighted", zero_division=0)
                for name, beta in (("f0_5", 0.5), ("f1", 1), ("f2", 2))
            },
        }
        assert {name: studio[name]["value"] for name in expected} == pytest.approx(expected)
        assert all(studio[name]["standard_deviation"] > 0 for name in expected)


def test_the_endpoint_answers_what_was_evaluated(evaluated, lizard):
    """Over HTTP, eight at a time: every patch's label map scores as in the table, its GeoJSON has as many nuclei."""
    from pathology.tasks.lizard import serving

    _, evaluation, predictions, _ = evaluated
    model = lizard.load()
    assert model.version == evaluation["pathology"]["model"]["version"]
    bodies = [encoded(lizard.images[row.index]) for row in lizard.test]
    with listening(serving, model) as endpoint:
        answers, outlined = (endpoint.crowd([(body, {**PNG, "Accept": kind}) for body in bodies], 8) for kind in (NPY, GEOJSON))
    for row, answer, outline in zip(lizard.test, answers, outlined, strict=True):
        labels = np.load(io.BytesIO(answer.content), allow_pickle=False)
        rows = patch_rows(row.name, row.source, lizard.labels[row.index], labels, LIZARD_CLASSES)
        assert rows == [item for item in predictions if item.patch == row.name]
        collection = outline.json()
        assert sum(collection["counts"].values()) == len(collection["features"]) == labels[..., 0].max()
        assert collection["model_version"] == model.version


@pytest.mark.parametrize("fault", ["raises", "forgets"])
def test_a_version_whose_geojson_cannot_be_written_is_not_evaluated(lizard, tmp_path, monkeypatch, fault):
    """Its label maps are right, and no registration follows."""
    from pathology.tasks.lizard import serving

    def faulty(labels, classes, **members):
        if fault == "raises":
            raise RuntimeError("a ring does not close")
        return {"type": "FeatureCollection", "features": []}

    monkeypatch.setattr(serving, "features", faulty)
    said = {
        "raises": "a ring does not close",
        "forgets": r"patch \S+: the endpoint's GeoJSON has 0 nuclei and its label map \d+: ",
    }
    with pytest.raises((RuntimeError, DataError), match=said[fault]):
        lizard.evaluate(tmp_path)
    assert not (tmp_path / "evaluation" / "evaluation.json").exists()


def test_the_packed_weights_are_those_that_are_run(lizard, tmp_path):
    from pathology.tasks.lizard import serving

    evaluation, predictions, _ = lizard.evaluate(tmp_path, seeing=False)
    model = serving.model_fn(lizard.folder, lizard.models)
    predictions_made = serving.predict_fn([lizard.images[row.index] for row in lizard.test], model)
    with listening(serving, model) as endpoint:
        answers = [endpoint.post(encoded(lizard.images[row.index]), {**PNG, "Accept": NPY}) for row in lizard.test]
    maps = [np.load(io.BytesIO(answer.content), allow_pickle=False) for answer in answers]
    same = [np.array_equal(one, each.labels) for one, each in zip(maps, predictions_made, strict=True)]
    assert np.mean(same) >= 0.99  # a picture alone, and all of them together: sums differ by their last bit
    (alone,) = serving.predict_fn([lizard.images[lizard.test[0].index]], model)
    assert serving.output_fn(alone, NPY) == answers[0].content
    counts = {row.name: int(each.labels[..., 0].max()) for row, each in zip(lizard.test, predictions_made, strict=True)}
    assert {row.patch: row.tp + row.fp for row in predictions if row.class_name == "all"} == counts
    assert evaluation["pathology"]["predicted"] == sum(counts.values()) > 0


def test_what_was_evaluated_is_named_by_hash(evaluated, lizard):
    folder, evaluation, _, log = evaluated
    block = evaluation["pathology"]
    model = block["model"]
    assert model["archive_sha256"] == hashlib.sha256(lizard.archive.read_bytes()).hexdigest()
    assert model["config_sha256"] == hashlib.sha256((lizard.folder / "config.json").read_bytes()).hexdigest()
    assert model["version"] == model["config_sha256"][:12] and model["fine_tuning"] == "frozen"
    assert block["data"] == {
        f"{name.partition('.')[0]}_sha256": hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in {
            "patches.csv": lizard.patches / "patches.csv",
            "images.npy": lizard.dataset / "images.npy",
            "labels.npy": lizard.dataset / "labels.npy",
        }.items()
    }
    assert block["data_uris"] == {
        "patches": "s3://bucket/patches/patches.csv",
        "images": "s3://bucket/dataset/images.npy",
        "labels": "s3://bucket/dataset/labels.npy",
    }
    assert (block["side"], block["central"]) == (64, 64)
    assert block["seen"] == {"unit": "patches", "test_items": 18, "seen": 0, "names": []}
    assert "seen in training: 0 of 18 test patches" in log
    assert model["trained_on_these_patches"] is True and model["serving_code"] == model["evaluated_with_code"]
    assert block["published_partition"] is False
    words = ("a placeholder with seeded weights", "6 source images only", "the 1,018 of Lizard's fold 0")
    assert len(block["warnings"]) == len(words) and all(map(str.__contains__, block["warnings"], words))
    assert all(f"warning: {warning}" in log for warning in block["warnings"])
    content = (folder / "evaluation" / "evaluation.json").read_bytes()
    assert LizardEvaluation.from_json(content, "evaluation.json").to_json() == content


def test_the_report_shows_patches_of_this_test(evaluated, lizard):
    from lizard_jobs import TEST

    folder, evaluation, _, _ = evaluated
    page = Page((folder / "evaluation" / "report.html").read_text())
    assert f"{TEST} test patches from 6 source images, with {evaluation['pathology']['nuclei']} nuclei" in page.text
    shown = re.findall(r"(\S+), source image (\S+); \d+ of the nuclei found", page.text)
    assert len(shown) == 6 and {name for name, _ in shown} < {row.name for row in lizard.test}
    assert (
        "No confidence interval: 6 source images are too few. As each of them is left out" in page.text
        and "95% interval 0" not in page.text
    )
    assert all(item.startswith(("data:", "#patch-")) for item in page.references)


def test_twice_the_same_bytes(evaluated, lizard, tmp_path):
    lizard.evaluate(tmp_path)
    for name in ("predictions.csv", "report.html", "evaluation.json"):
        assert (tmp_path / "evaluation" / name).read_bytes() == (evaluated[0] / "evaluation" / name).read_bytes()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_reader_is_warned(evaluated, lizard):
    from pathology.evaluation import all_warnings
    from pathology.tasks.lizard import serving
    from pathology.tasks.lizard.scores import NucleiScores
    from pathology.tasks.lizard.warnings import task_warnings

    _, _, predictions, _ = evaluated
    _, dataset = read_prepared(lizard.patches)
    without = [
        row.model_copy(update=dict.fromkeys(("tp", "fn", "iou_sum", "true_count"), 0)) if row.class_name == "plasma" else row
        for row in predictions
        if row.class_name != "neutrophil"
    ]
    few = [row for row in predictions if row.class_name == "neutrophil"]
    few = [row.model_copy(update={"tp": int(n == 0), "fn": 0, "iou_sum": 0.9 * (n == 0)}) for n, row in enumerate(few)]
    scores = NucleiScores.of(without + few, LIZARD_CLASSES, resamples=100, confidence=0.95, seed=0)
    changes = {"training": {"shuffle-labels": "true"}, "inputs": {"patches": "0" * 64}, "serving_code": "f" * 16}
    model = lizard.load()
    model = replace(model, config=model.config.model_copy(update=changes))
    seen = Seen(unit="patches", test_items=18, seen=3, names=["a", "b"])
    warnings = all_warnings(model, serving, seen, task_warnings(scores, dataset), "pathology")
    words = (
        "learnt from 3 of the 18 test patches (a, b, …)",
        "a placeholder with seeded weights",
        "permuted labels",
        "6 source images",
        "No plasma nucleus",
        "only 1 neutrophil",
        "orientation only",
        "code packed",
    )
    assert len(warnings) == len(words) and all(map(str.__contains__, warnings, words))


def with_sides(lizard, folder, sides):
    """PrepareLizard's output with some source images on other ``sides``."""
    rows, dataset = read_prepared(lizard.patches)
    rows = [row.model_copy(update={"split": sides.get(row.source, row.split)}) for row in rows]
    write_table(folder, "patches.csv", rows)
    sha256 = hashlib.sha256((folder / "patches.csv").read_bytes()).hexdigest()
    (folder / "dataset.json").write_bytes(dataset.model_copy(update={"patches_sha256": sha256}).to_json())
    return folder


def test_the_patches_that_were_learnt_from_are_refused_as_a_test(lizard, tmp_path):
    rows, _ = read_prepared(lizard.patches)
    learnt = sorted({row.source for row in rows if row.split == "train"})[:2]
    validated = next(row.source for row in rows if row.split == "validation")
    tested = sorted({row.source for row in lizard.test})
    moved = dict.fromkeys((*learnt, validated), "test") | dict.fromkeys(tested[2:], "train")
    moved = with_sides(lizard, tmp_path / "moved", moved)
    names = sorted(row.name for row in rows if row.source in (*learnt, validated))
    refused(lizard, tmp_path, rf"learnt from 9 of the 15 test patches \({', '.join(names[:5])}, …\)", patches=moved)
    evaluation, _, log = lizard.evaluate(tmp_path / "allowed", patches=moved, allow_seen=True)
    block = evaluation["pathology"]
    assert block["seen"] == {"unit": "patches", "test_items": 15, "seen": 9, "names": names[:5]}
    assert block["warnings"][0].startswith("The model has learnt from 9 of the 15 test patches")
    assert f"warning: {block['warnings'][0]}" in log
    page = Page((tmp_path / "allowed" / "evaluation" / "report.html").read_text())
    assert block["warnings"][0] in page.text and "none of these images was used in training" not in page.text


def test_pixels_are_known_under_another_name_and_images_by_theirs_with_other_pixels(lizard, tmp_path):
    from lizard_jobs import write_conic
    from pathology.contracts.learned_from import LearnedFrom
    from pathology.tasks.lizard.dataset import Nuclei
    from pathology.tasks.lizard.learned_from import items

    rows, dataset = read_prepared(lizard.patches)
    learned_from = LearnedFrom.from_json((lizard.folder / "learned-from.json").read_bytes(), "it")
    learnt = next(row for row in rows if row.split == "train")
    renamed = learnt.model_copy(update={"name": "new_1-0000", "source": "new_1", "cohort": "new"})
    assert learned_from.seen(items(Nuclei(lizard.dataset, [renamed, lizard.test[0]], dataset))) == ["new_1-0000"]
    write_conic(tmp_path / "other", 255 - lizard.images, lizard.labels, lizard.names)
    hashes = {"images_sha256": hashlib.sha256((tmp_path / "other" / "images.npy").read_bytes()).hexdigest()}
    other = Nuclei(tmp_path / "other", [renamed, learnt], dataset.model_copy(update=hashes))
    assert learned_from.seen(items(other)) == [learnt.name]


def test_a_model_without_a_list_is_unknown_and_says_so(lizard, tmp_path):
    older = without_list(lizard.archive.parent, tmp_path / "older")
    evaluation, _, log = lizard.evaluate(tmp_path / "job", seeing=False, model=older)
    seen, warning = evaluation["pathology"]["seen"], evaluation["pathology"]["warnings"][0]
    assert seen == {"unit": "patches", "test_items": 18, "seen": None, "names": []}
    assert warning.startswith("It is not known whether the model has learnt from these 18 test patches")
    assert "seen in training: unknown of 18 test patches" in log
    assert warning in Page((tmp_path / "job" / "evaluation" / "report.html").read_text()).text


@pytest.mark.parametrize(("change", "published"), [({}, True), ({"fold": 1}, False)])
def test_the_published_test_set_is_known_by_fold_number_and_classes(lizard, change, published):
    from pathology.tasks.lizard.warnings import is_published

    _, dataset = read_prepared(lizard.patches)
    dataset = dataset.model_copy(update=change)
    assert is_published(dataset, 1018) is published
    assert not is_published(dataset, 1017)
    assert not is_published(dataset.model_copy(update={"classes": ("a", "b", "c", "d", "e", "f")}), 1018)


def refused(lizard, tmp_path, match, **inputs):
    """Evaluating ends in one line and leaves nothing that looks like a result."""
    with pytest.raises(DataError, match=match) as caught:
        lizard.evaluate(tmp_path / "job", **inputs)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "job").rglob("evaluation.json"))


def test_another_data_set_is_refused(lizard, tmp_path):
    from lizard_jobs import write_conic

    labels = lizard.labels.copy()
    labels[0, 0, 0] = 0 if labels[0, 0, 0].any() else 1
    write_conic(tmp_path / "changed", lizard.images, labels, lizard.names)
    refused(lizard, tmp_path, "labels.npy is not the labels.npy that was prepared", dataset=tmp_path / "changed")
    (tmp_path / "changed" / "images.npy").unlink()
    refused(lizard, tmp_path, "images.npy: there is no such file", dataset=tmp_path / "changed")


def test_a_table_of_another_preparation_is_refused(lizard, tmp_path):
    other = lizard.prepare(tmp_path / "other", fold=1)
    (other / "dataset.json").write_bytes((lizard.patches / "dataset.json").read_bytes())
    refused(lizard, tmp_path, "patches.csv is not the one that dataset.json was written with", patches=other)


def test_a_model_of_other_classes_is_refused(lizard, tmp_path):
    content = json.loads((lizard.patches / "dataset.json").read_bytes())
    content["classes"] = content["settings"]["classes"] = ["a", "b", "c", "d", "e", "f"]
    other = tmp_path / "patches"
    other.mkdir()
    (other / "patches.csv").write_bytes((lizard.patches / "patches.csv").read_bytes())
    (other / "dataset.json").write_text(json.dumps(content))
    refused(lizard, tmp_path, "the model knows neutrophil, .* and the patches have a, b, c, d, e, f", patches=other)


def test_test_patches_of_one_source_image_have_no_interval(lizard, tmp_path):
    sources = {row.source for row in lizard.test} - {lizard.test[0].source}
    folder = with_sides(lizard, tmp_path / "patches", dict.fromkeys(sources, "train"))
    refused(lizard, tmp_path, "intervals are by source image and need two", patches=folder)


def test_the_report_is_read_and_sorted_on_a_phone_and_printed_whole(evaluated, chromium):
    check_in_browser(chromium, evaluated[0] / "evaluation" / "report.html")


def test_a_version_s_card_is_made_of_it(evaluated):
    _, evaluation, _, _ = evaluated
    check_card(evaluation)
