"""Compare jobs on folders, with the local registry asked by boto3: what passes, what fails, and in which words."""

import csv
import hashlib
import io
import json

import boto3
import numpy as np
import pytest
from pathology import champion, registry
from pathology.commands import compare_mhist, compare_msi
from pathology.contracts.comparison.file import ComparisonFile
from pathology.contracts.comparison.gate import CompareJob
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.intervals.binary import area_under_roc
from pathology.contracts.uris import Uri
from pathology.job import Job
from pathology.storage import ROOT_VARIABLE

from pipelines.local import endpoint as local_endpoint
from pipelines.local.endpoint import Endpoint

GROUP = "pathology-msi"
PATIENTS, POSITIVES = 98, 15
LABELS = (np.arange(PATIENTS) < POSITIVES).astype(int)


def evaluation(shift, *, seed=0, patients=PATIENTS, task="msi", version="aaaaaaaaaaaa", seen=0, names=(), md5="0", uris=None):
    """evaluation.json and predictions.csv of a model that tells the classes ``shift`` standard deviations apart; 0 is chance."""
    labels = LABELS[:patients]
    logits = np.random.default_rng(seed).normal(size=patients) + shift * labels
    probability = 1 / (1 + np.exp(-logits))
    interval = area_under_roc(labels, probability)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["patient_id", "site", "label", "probability", "slide_ids", "image", "group"])
    for number, (label, value) in enumerate(zip(labels, probability, strict=True)):
        table.writerow([f"P{number:03d}", "A", label, value, f"S{number:03d}", f"i{number}.png", ""])
    block = {
        "task": task,
        "n": patients,
        "positives": int(labels.sum()),
        "threshold": 0.5,
        "confidence": 0.95,
        "intervals": {"auroc": {"value": interval.value, "low": interval.low, "high": interval.high}},
        "seen": {"unit": "patients", "test_items": patients, "seen": seen, "names": list(names)},
        "model": {"version": version, "config_sha256": "c" * 64, "archive_uri": "s3://local/m.tar.gz"},
        "extra": "of a later version",
        **(uris or {}),
    }
    return {"evaluation.json": json.dumps({"pathology": block}).encode(), "predictions.csv": text.getvalue().encode()}


OTHER_CLASSES = {"version": "aaaaaaaaaaaa", "config_sha256": "c" * 64, "archive_uri": "s3://local/m", "labels": ["dMMR", "pMMR"]}
GOOD, WORSE = evaluation(2.0), evaluation(0.9, seed=7)


@pytest.fixture
def asked(account, monkeypatch):
    """A local account whose registry answers boto3 of this process, and a store in its folders."""
    account.client.create_model_package_group(ModelPackageGroupName=GROUP)
    with Endpoint(account.client, "k3j9x2m4q8zt") as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(ROOT_VARIABLE, str(account.root))
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers another run's token
        yield account


def register(account, files, *, approve=True, name="champion", model="aaaaaaaaaaaa", archive=None, **metadata):
    """A version of an evaluation, with an artefact or without; its ARN."""
    uri = Uri.parse(f"s3://local/runs/{name}")
    for file, content in files.items():
        account.store.write(uri / file, content)
    arn = account.client.create_model_package(
        ModelPackageGroupName=GROUP,
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": str(uri / "evaluation.json")}}},
        CustomerMetadataProperties={"model_version": model, **metadata},
        **({"InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": archive}]}} if archive else {}),
    )["ModelPackageArn"]
    if approve:
        account.client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="seen")
    return arn


def compare(tmp_path, files, command=compare_msi, **settings):
    """Run the command on an evaluation; comparison.json."""
    folder = tmp_path / "evaluation"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    values = CompareJob(**{"threshold": 0.6, "group": GROUP, "ledger": "s3://local/ledger/msi", **settings}).as_strings()
    outputs = {"comparison": tmp_path / "comparison"}
    command.main(Job("processing", tmp_path, "job-1", "algo-1", ("algo-1",), {"evaluation": folder}, outputs, values))
    return ComparisonFile.from_json((outputs["comparison"] / "comparison.json").read_bytes(), "comparison.json")


def test_without_a_champion_the_threshold_decides_and_a_warning_says_so(asked, tmp_path, capsys):
    register(asked, GOOD, approve=False)
    found = compare(tmp_path, GOOD)
    assert (found.passed, found.score, found.champion, found.comparison, found.looks) == (True, 1, None, None, 1)
    assert found.warnings == ["no approved version to compare with: the threshold alone was judged"]
    assert found.gate == "AUROC lower bound at least 0.6 - no approved version to compare with"
    printed = capsys.readouterr().out
    assert "warning: no approved version" in printed and "gate passed: AUROC 0.885 with" in printed


def test_the_lower_bound_is_judged_unless_the_value_is_asked_for(asked, tmp_path):
    value, low = (json.loads(GOOD["evaluation.json"])["pathology"]["intervals"]["auroc"][key] for key in ("value", "low"))
    least = (value + low) / 2
    refused = compare(tmp_path, GOOD, threshold=least)
    assert (refused.passed, refused.score) == (False, 0)
    assert refused.message.startswith(f"the lower bound {low:.3f} of AUROC {value:.3f} is below {least:g}, by ")
    assert compare(tmp_path, GOOD, threshold=least, on="value").passed


def point(specificity, low, *, name="nominal", sensitivity=0.95):
    """A row of ``operating_points``, with what else evaluation.json has of it."""
    bounds = {"value": specificity, "low": low, "high": 1.0}
    return {"point": {"name": name, "threshold": 0.3, "sensitivity": sensitivity}, "decides": False, "specificity": bounds}


YOUDEN = point(0.99, 0.98, name="youden", sensitivity=None)


def with_points(*points):
    return evaluation(2.0, uris={"operating_points": list(points)})


def test_the_specificity_at_the_point_for_sensitivity_is_a_second_threshold_where_it_is_asked_for(asked, tmp_path):
    files = with_points(YOUDEN, point(0.5, 0.4), point(0.3, 0.2, name="promised"))
    assert [each.measure for each in compare(tmp_path, files).thresholds] == ["auroc"]
    for on, least, passed in (("lower", 0.4, True), ("lower", 0.41, False), ("value", 0.5, True), ("value", 0.51, False)):
        found = compare(tmp_path, files, on=on, min_specificity=least)
        assert (found.passed, [each.measure for each in found.thresholds]) == (passed, ["auroc", "specificity_at_sensitivity"])
        assert found.warnings == ["no approved version to compare with: the thresholds alone were judged"]
    assert found.message == "specificity 0.500 at the operating point for sensitivity 0.95 is below 0.51, by 0.010"
    assert found.gate == (
        "AUROC at least 0.6 - specificity at least 0.51 at the operating point for sensitivity 0.95 - no approved version to compare with"
    )
    low = compare(tmp_path, files, min_specificity=0.4)
    assert "; specificity 0.500 at the operating point for sensitivity 0.95 with the lower bound 0.400 reaches 0.4" in low.message


@pytest.mark.parametrize(
    "files",
    [GOOD, with_points(), with_points(YOUDEN), with_points(point(0.5, 0.4, sensitivity=None))],
    ids=["not recorded", "keeps none", "another point", "set to nothing"],
)
def test_a_specificity_that_nothing_says_fails_the_job(asked, tmp_path, files):
    assert compare(tmp_path, files).passed
    with pytest.raises(DataError, match=r"evaluation\.json: it has no specificity .*min-specificity asks for: train"):
        compare(tmp_path, files, min_specificity=0.1)


def test_a_damaged_specificity_is_named(asked, tmp_path):
    with pytest.raises(DataError, match=r"evaluation\.json: pathology\.operating_points\.0\.specificity"):
        compare(tmp_path, with_points({"point": {"name": "nominal", "sensitivity": 0.95}}))


@pytest.mark.parametrize("value", ["-0.1", "1.01", "nan", "inf", "none", ""])
def test_a_specificity_that_is_no_fraction_is_refused(value):
    with pytest.raises(RequestError, match="gate: min-specificity: "):
        CompareJob.parse({"min-specificity": value, "threshold": 0, "group": "g", "ledger": "s3://local/x"}, "gate")


def test_a_bare_on_in_yaml_is_read_as_on():
    assert CompareJob.parse({True: "value", "threshold": 0, "group": "g", "ledger": "s3://local/x"}, "gate").on == "value"
    with pytest.raises(RequestError, match="gate: on: "):
        CompareJob.parse({True: "upper", "threshold": 0, "group": "g", "ledger": "s3://local/x"}, "gate")


def test_a_worse_candidate_is_refused_with_the_figures_and_an_equal_or_better_one_is_not(asked, tmp_path):
    arn = register(asked, GOOD)
    worse = compare(tmp_path, WORSE, threshold=0.0)
    assert not worse.passed and worse.champion_arn == arn
    difference = worse.comparison.scores["auroc"].difference
    assert difference < -0.05
    assert f"worse by {-difference:.3f}" in worse.message and "against version 1's" in worse.message
    assert "more than max-regression 0.05" in worse.message
    same = compare(tmp_path, GOOD, champion="noninferior", threshold=0.0)
    assert same.passed and same.difference.difference == 0 and "not-worse" not in same.gate
    register(asked, WORSE, name="later")
    assert compare(tmp_path, GOOD, threshold=0.0).champion == "version 2"


def test_rules_are_the_runs(asked, tmp_path):
    register(asked, GOOD)
    near = evaluation(1.9, seed=3)
    assert not compare(tmp_path, near, threshold=0.0, champion="noninferior").passed
    assert compare(tmp_path, near, threshold=0.0, max_regression=1.0).passed


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"predictions.csv": None}, "predictions.csv: there is no such object"),
        ({"evaluation.json": None}, "evaluation.json: there is no such object"),
        ({"evaluation.json": b"{"}, "version 1's evaluation.json: "),
        ({"predictions.csv": b"\xff\xfe"}, "version 1's predictions.csv: is damaged, no text"),
        ({"predictions.csv": b""}, "version 1's predictions.csv: is empty"),
        ({"predictions.csv": b"patient_id,label\nP001,1\n"}, "the column 'slide_ids' is missing"),
        ({"predictions.csv": GOOD["predictions.csv"][:3000]}, "version 1's predictions.csv"),
        ({"predictions.csv": GOOD["predictions.csv"].replace(b",1,0.", b",x,0.", 1)}, "version 1's predictions.csv: is damaged"),
        (evaluation(2.0, version="bbbbbbbbbbbb"), "is of the model bbbbbbbbbbbb, and version 1 is aaaaaaaaaaaa"),
        (evaluation(2.0, task="mhist"), "is of the task mhist, not msi"),
        (evaluation(2.0, patients=20), "20 patients in common, and it takes 30"),
        (evaluation(2.0, seen=98), "98 that the second model was trained on"),
        (
            evaluation(2.0, seen=9, names=["P001"]),
            "trained on 9 of its 98 test patients, and evaluation.json does not say on which",
        ),
        (
            evaluation(2.0, uris={"model": OTHER_CLASSES}),
            "not comparable with version 1: one tells classes that it does not name apart, the other dMMR, pMMR",
        ),
    ],
    ids=range(14),
)
def test_a_champion_that_says_nothing_is_not_comparable_and_the_rule_decides(asked, tmp_path, damage, reason):
    register(asked, GOOD)
    for name, content in damage.items():
        path = Uri.parse(f"s3://local/runs/champion/{name}").under(asked.root)
        path.unlink() if content is None else path.write_bytes(content)
    found = compare(tmp_path, GOOD)
    assert found.passed and reason in found.warnings[0] and found.warnings[0].startswith("not comparable with version 1: ")
    assert found.gate == f"AUROC lower bound at least 0.6 - not comparable with version 1 of {GROUP}"
    refused = compare(tmp_path, GOOD, champion="noninferior")
    assert not refused.passed and "champion noninferior asks for a comparison" in refused.message


def test_patients_whose_slides_are_others_now_are_left_out(asked, tmp_path):
    """By the md5 of their slides, out of the tables that the evaluations read; a table that has changed since says nothing."""

    def table(name, changed):
        rows = "".join(f"S{number:03d},{number + 1000 * (number < changed):032x}\n" for number in range(PATIENTS))
        content = f"slide_id,md5\n{rows}".encode()
        asked.store.write(Uri.parse(f"s3://local/{name}.csv"), content)
        return {"data": {"cohort_sha256": hashlib.sha256(content).hexdigest()}, "data_uris": {"cohort": f"s3://local/{name}.csv"}}

    register(asked, evaluation(2.0, uris=table("old", 0)))
    candidate = evaluation(2.0, uris=table("new", 7))
    found = compare(tmp_path, candidate).comparison
    assert (found.n, found.left_out.other_content, found.by_id_alone) == (PATIENTS - 7, 7, 0)
    asked.store.write(Uri.parse("s3://local/old.csv"), b"slide_id,md5\n")
    found = compare(tmp_path, candidate).comparison
    assert (found.n, found.by_id_alone) == (PATIENTS, PATIENTS)


def test_a_candidate_that_is_damaged_fails_the_job(asked, tmp_path):
    with pytest.raises(DataError, match="the candidate's predictions.csv"):
        compare(tmp_path, {**GOOD, "predictions.csv": GOOD["predictions.csv"][:3000]})
    assert not (tmp_path / "comparison").exists()


def test_one_that_learnt_from_its_test_is_judged_by_the_threshold_alone(asked, tmp_path):
    register(asked, GOOD)
    found = compare(tmp_path, evaluation(2.0, seen=7, names=["P001"]))
    assert found.passed and "the candidate was trained on 7 of its 98 test patients" in found.warnings[0]


@pytest.mark.parametrize("operation", ["ListModelPackages", "DescribeModelPackage"])
def test_not_being_allowed_to_ask_fails_the_job_and_names_the_permission(asked, tmp_path, monkeypatch, operation):
    register(asked, GOOD)
    monkeypatch.setattr(local_endpoint, "ALLOWED", local_endpoint.ALLOWED - {operation})
    with pytest.raises(champion.NotAnsweredError, match=f"lacks the permission sagemaker:{operation}"):
        compare(tmp_path, GOOD)
    assert not (tmp_path / "comparison").exists()


def test_a_registry_that_does_not_answer_fails_the_job(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:1")
    monkeypatch.setattr(registry, "ATTEMPTS", 1)
    with pytest.raises(champion.NotAnsweredError, match="sagemaker:ListModelPackages was not answered .*: start again"):
        compare(tmp_path, GOOD)


def test_a_group_that_is_not_there_fails_the_job(asked, tmp_path):
    with pytest.raises(champion.NotAnsweredError, match="pathology-none: sagemaker:ListModelPackages was not answered"):
        compare(tmp_path, GOOD, group="pathology-none")


def test_a_champion_deleted_meanwhile_is_asked_for_once_more(asked, tmp_path, monkeypatch):
    register(asked, GOOD)
    latest = register(asked, WORSE, name="later")
    listing = champion._latest_approved

    def listed(registry, group):
        found = listing(registry, group)
        if found["ModelPackageArn"] == latest:
            asked.client.delete_model_package(ModelPackageName=latest)
        return found

    monkeypatch.setattr(champion, "_latest_approved", listed)
    assert compare(tmp_path, GOOD).champion == "version 1"
    gone = {"ModelPackageArn": latest, "ModelPackageVersion": 2}
    monkeypatch.setattr(champion, "_latest_approved", lambda *_: gone)
    with pytest.raises(champion.NotAnsweredError, match="version 2 is listed as approved and is gone"):
        compare(tmp_path, GOOD)


def test_looks_are_counted_by_test_set_and_evaluation_passed_or_not(asked, tmp_path):
    assert compare(tmp_path, GOOD).looks == 1
    assert compare(tmp_path, GOOD).looks == 1
    second = compare(tmp_path, WORSE, threshold=0.99)
    assert (second.looks, second.looks_text, second.passed) == (2, "2", False)
    assert compare(tmp_path, evaluation(2.0, patients=97)).looks == 1
    entries = [json.loads(asked.store.read(entry.uri)) for entry in asked.store.list(Uri.parse(second.ledger))]
    assert sorted(entry["passed"] for entry in entries) == [False, True]
    assert {entry["items"] for entry in entries} == {PATIENTS}


def test_patches_are_compared_by_their_files(asked, tmp_path):
    register(asked, evaluation(2.0, task="mhist"))
    found = compare(tmp_path, evaluation(2.0, task="mhist"), compare_mhist)
    assert found.comparison.unit == "patches" and found.difference.difference == 0
