"""Slides without labels asked of a version that a run here has registered, through the verb."""

import csv
import json

import pytest
from laptop import RUNS
from test_msi import account, make_run

from pipelines.service.results import PREDICTIONS
from tests.made import made_once

RESULTS = ("predictions.csv", "results.json", "report.html")
LOW = ("--param=MinTiles=1", "--param=MaxFoldStd=1", "--param=FeaturesUri=s3://local/features")


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A copy of an account with an unapproved version, trained on the slides of ``s3://local/slides``."""
    return account(tmp_path_factory.mktemp("predict") / "state").take_over(made_once("msi-run", make_run, also=RUNS))


def outputs(laptop):
    """The folders of predictions, the oldest first."""
    return sorted(
        laptop.state.glob(f"s3/local/runs/pathology-msi-predict/*/PredictMsi/{PREDICTIONS}"),
        key=lambda path: path.stat().st_mtime,
    )


def rows(path):
    return {row["patient_id"]: row for row in csv.DictReader(path.open())}


@pytest.mark.slow
def test_training_slides_get_the_answers_of_their_evaluation_and_are_not_extracted_again(laptop):
    slides = laptop.path("slides")
    features = {path: path.stat().st_mtime_ns for path in laptop.state.glob("s3/local/features/*/*.h5")}
    refused = laptop.verb("predict", str(slides))
    assert (refused.returncode, "has no approved version" in refused.stderr) == (2, True), refused.stderr
    done = laptop.verb("predict", str(slides), "--version", "1", *LOW)
    assert done.returncode == 0, done.stdout + done.stderr
    first = outputs(laptop)[-1]
    assert f"page: {first / 'report.html'}" in done.stdout
    table = done.stdout.partition("Item ")[2].partition("predictions: ")[0]
    assert len(table.splitlines()) > 16 and max(map(len, table.splitlines())) <= 80
    assert "learnt from" in done.stdout
    predicted = rows(first / "predictions.csv")
    evaluated = rows(next(laptop.state.glob("s3/local/runs/pathology-msi/*/EvaluateMsi/evaluation/predictions.csv")))
    assert evaluated
    for patient, row in evaluated.items():
        assert predicted[patient]["probability"] == row["probability"]
        assert predicted[patient]["fold_std"] == row["fold_std"]
        assert (predicted[patient]["label"] == "MSI-H") == (row["predicted"] == "1")
    assert {path: path.stat().st_mtime_ns for path in laptop.state.glob("s3/local/features/*/*.h5")} == features
    logs = [path.read_text() for path in laptop.state.glob("executions/*/jobs/*ExtractFeatures*/algo-*.log")]
    assert any(f"0 slides extracted (0 failed), {len(features)} finished before" in log for log in logs)
    collection = json.loads((first / "attention" / f"{next(iter(evaluated))}.geojson").read_text())
    assert collection["type"] == "FeatureCollection" and collection["features"]

    slides.joinpath("broken.svs").write_bytes(b"no slide at all")
    try:
        again = laptop.verb("predict", "s3://local/slides", "--version", "1", *LOW)
    finally:
        slides.joinpath("broken.svs").unlink()
    assert again.returncode == 0, again.stdout + again.stderr
    second = rows(outputs(laptop)[-1] / "predictions.csv")
    broken = second.pop("broken")
    assert (broken["status"], broken["label"], "broken" in broken["reason"]) == ("failed", "", True)
    assert second == predicted

    same = laptop.verb("predict", str(slides), "--version", "1", *LOW)
    assert same.returncode == 0, same.stdout + same.stderr
    third = outputs(laptop)[-1]
    assert third != first
    assert [(third / name).read_bytes() for name in RESULTS] == [(first / name).read_bytes() for name in RESULTS]
