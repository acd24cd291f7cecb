"""invoke: many requests to an endpoint in an AWS account, some of which fail at first; and what is refused before anything is asked."""

import csv
import hashlib
import json
import threading

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from pathology.contracts.cohort import SlideRow
from pathology.contracts.features import Sidecar

from pipelines.service.hosting.invoking import JOURNAL
from tests.pipelines.on_aws import response

ON_AWS = ("--environment", "example")
NAME = "pathology-mhist"


def endpoint(task, name):
    """An endpoint as deploy leaves it: its tags say what it is."""
    client = boto3.client("sagemaker", region_name="us-east-1")
    client.create_model_package_group(ModelPackageGroupName=name)
    version = client.create_model_package(ModelPackageGroupName=name, CustomerMetadataProperties={"model_version": "m" * 12})
    tags = [{"Key": "task", "Value": task}, {"Key": "model-package", "Value": version["ModelPackageArn"]}]
    client.create_model(ModelName=name, ExecutionRoleArn="arn:aws:iam::111122223333:role/x", PrimaryContainer={"Image": "i"})
    variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags)
    client.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


class Model:
    """Answers each request by its body, so that a mixture would show; ``faults`` by the number of the request."""

    def __init__(self):
        self.bodies, self.faults, self.count, self.lock, self.version = [], {}, 0, threading.Lock(), "m" * 12

    def __call__(self, request, **_):
        if not request.url.endswith("/invocations"):
            return None
        body = request.body if isinstance(request.body, bytes) else request.body.read()
        with self.lock:
            self.count += 1
            fault = self.faults.get(self.count) or self.faults.get("each", lambda *_: None)(self.count, body)
            if fault is None:
                self.bodies.append(body)
        if isinstance(fault, Exception):
            raise fault
        return response(*(fault or (200, answer(body, self.version))), kind="application/json")


def answer(body, version="m" * 12):
    return {"label": "SSA", "probability": hashlib.sha256(body).digest()[0] / 255, "model_version": version}


def model_error(status, line):
    said = {"OriginalStatusCode": status, "OriginalMessage": json.dumps({"error": line}), "Message": "m"}
    return 424, {"__type": "ModelError", "ErrorCode": "ModelError", **said}


@pytest.fixture
def model(server, before_send, quick, monkeypatch):
    monkeypatch.setattr("pipelines.service.hosting.asking._LONGEST_WAIT", 0.01)
    endpoint("mhist", NAME)
    answering = Model()
    before_send(answering)
    return answering


@pytest.fixture
def folder(tmp_path):
    """``folder(5)``: so many pictures, each with other bytes."""

    def make(count):
        path = tmp_path / "patches"
        (path / "b").mkdir(parents=True)
        for number in range(count):
            (path / ("b" if number % 2 else "") / f"p{number:03}.png").write_bytes(b"picture %d" % number)
        return path

    return make


def table(path):
    with (path / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_hundred_pictures_with_faults_are_each_answered_once_in_order(model, folder, here, tmp_path):
    path, out = folder(200), tmp_path / "out"
    (path / "notes.txt").write_text("no picture")
    model.faults["each"] = lambda count, _: model_error(503, "too many requests are waiting") if count % 7 == 0 else None
    model.faults[50] = ReadTimeoutError(endpoint_url="x")
    done = here("invoke", str(path), "--task", "mhist", *ON_AWS, "--out", str(out))
    assert (done.code, "200 of 200 answered, 0 refused" in done.out) == (0, True), done.err
    assert "1 file, no picture by name (notes.txt)" in done.err
    rows, names = table(out), sorted(file.relative_to(path).as_posix() for file in path.rglob("*.png"))
    assert [row["input"] for row in rows] == names
    assert all(float(row["probability"]) == answer((path / row["input"]).read_bytes())["probability"] for row in rows)
    assert sorted(model.bodies) == sorted(file.read_bytes() for file in path.rglob("*.png")), "each answered once"
    results = sorted(file.relative_to(out).as_posix() for file in out.rglob("*.json"))
    assert results == [f"{name}.json" for name in names]


def test_a_second_run_asks_for_what_is_missing_changed_or_another_models(model, folder, here, tmp_path):
    path, out = folder(6), tmp_path / "out"
    arguments = ("invoke", str(path), "--task", "mhist", *ON_AWS, "--out", str(out))
    assert here(*arguments).code == 0
    (out / "p000.png.json").unlink()
    (path / "p002.png").write_bytes(b"another picture")
    (out / "p004.png.json").write_text("{}")
    with (out / JOURNAL).open("a") as journal:
        journal.write('{"input": "cut')
    model.bodies.clear()
    done = here(*arguments)
    assert (done.code, "3 of 6 answered, 3 answered before, 0 refused" in done.out) == (0, True), done.out
    assert sorted(model.bodies) == [b"another picture", b"picture 0", b"picture 4"]
    assert here(*arguments).out.splitlines()[-1].startswith("0 of 6 answered, 6 answered before")
    boto3.client("sagemaker", region_name="us-east-1").update_model_package(
        ModelPackageArn=f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{NAME}/1",
        CustomerMetadataProperties={"model_version": "n" * 12},
    )
    model.bodies.clear()
    model.version = "n" * 12
    assert "6 of 6 answered, 0 refused" in here(*arguments).out
    assert len(model.bodies) == 6


def test_what_the_model_refuses_is_named_and_the_others_are_answered(model, folder, here, tmp_path):
    path = folder(4)
    model.faults["each"] = lambda _, body: model_error(400, "the picture has 3 px") if body == b"picture 2" else None
    (path / "large.png").write_bytes(bytes(7 * 2**20))
    done = here("invoke", str(path), "--task", "mhist", *ON_AWS)
    assert (done.code, "3 of 5 answered, 2 refused" in done.out) == (1, True), done.out
    assert "refused: p002.png: 400: the picture has 3 px" in done.out
    assert "refused: large.png: it has 7,340,032 bytes, and a request has 6,291,456 at most" in done.out
    model.faults["each"] = lambda *_: (
        400,
        {"__type": "ValidationError", "Message": "Endpoint pathology-mhist of account not found."},
    )
    done = here("invoke", str(path / "p000.png"), "--task", "mhist", *ON_AWS)
    assert (done.code, "not found" in done.err.splitlines()[-1]) == (2, True), done.err


def test_two_models_in_one_table_are_said(model, folder, here):
    model.faults["each"] = lambda count, body: (200, answer(body, "n" * 12)) if count > 2 else None
    done = here("invoke", str(folder(4)), "--task", "mhist", *ON_AWS, "--parallel", "1")
    assert "warning: the endpoint was updated meanwhile: 2 by mmmmmmmmmmmm, 2 by nnnnnnnnnnnn" in done.err


def test_pictures_in_s3(model, example, here):
    s3 = boto3.client("s3", region_name="us-east-1")
    for key in ("new/a.png", "new/sub/b.jpeg", "new/readme.md"):
        s3.put_object(Bucket=example.bucket, Key=key, Body=key.encode())
    done = here("invoke", f"s3://{example.bucket}/new", "--task", "mhist", *ON_AWS, "--json")
    found = json.loads(done.out)
    assert [one["input"] for one in found] == ["a.png", "sub/b.jpeg"]
    assert found[0]["answer"] == answer(b"new/a.png")
    gone = here("invoke", f"s3://{example.bucket}/old", "--task", "mhist", *ON_AWS)
    assert (gone.code, "there is no such object, and none below it" in gone.err) == (2, True)


@pytest.mark.parametrize(
    "arguments, fault",
    [
        (("nowhere.png",), "nowhere.png: there is no such file or folder"),
        (("empty",), "holds no .png, .jpg or .jpeg"),
        (("a/x.png", "b/x.png"), "two inputs are called x.png"),
        (("a/x.png", "--format", "geojson"), "--format geojson: an endpoint of mhist answers application/json"),
        (("a/x.png", "--features", "s3://b/f"), "--features and --patients are for slides"),
        (("a/x.png", "--out", "a/x.png"), "--out a/x.png: cannot be written to"),
        (("a/x.txt",), "x.txt: send a .png, .jpg or .jpeg"),
    ],
)
def test_wrong_use(model, here, tmp_path, monkeypatch, arguments, fault):
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.png", "b/x.png", "a/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    done = here("invoke", *arguments, "--task", "mhist", *ON_AWS)
    assert (done.code, fault in done.err.splitlines()[-1], model.count) == (2, True, 0), done.err


class TestSlides:
    """msi's endpoint: features by URI and hash."""

    @pytest.fixture
    def slides(self, server, before_send, quick, example, tmp_path):
        endpoint("msi", "pathology-msi")
        answering = Model()
        before_send(answering)
        rows = [
            self.row(example, name, status) for name, status in (("P1-A", "ok"), ("P1-B", "ok"), ("P2", "ok"), ("P3", "empty"))
        ]
        (tmp_path / "slides.csv").write_bytes(SlideRow.table(rows))
        (tmp_path / "cohort.csv").write_text("slide_id,patient_id\nP1-A,P1\nP1-B,P1\nP2,P2\nP3,P3\n")
        return answering

    @staticmethod
    def row(example, name, status):
        ok = status == "ok"
        return SlideRow(
            slide_id=name,
            status=status,
            reason="",
            features=f"s3://{example.bucket}/features/5e77/{name}.h5" if ok else "",
            sha256=hashlib.sha256(name.encode()).hexdigest() if ok else "",
            content_sha256="",
            settings_hash="5e77",
            mpp=0.5,
            mpp_source="file",
            tiles=3 if ok else 0,
            failed_tiles=0,
        )

    def test_rows_of_a_table_are_asked_one_by_one_or_by_patient(self, slides, here, tmp_path):
        alone = here("invoke", str(tmp_path / "slides.csv"), "--task", "msi", *ON_AWS)
        assert alone.code == 0 and "3 of 3 answered" in alone.out, alone.err
        assert "1 slide, without features (P3: empty, no tissue)" in alone.err
        assert "each slide is asked for by itself" in alone.err
        slides.bodies.clear()
        patients = ("--patients", str(tmp_path / "cohort.csv"), "--json")
        found = json.loads(here("invoke", str(tmp_path / "slides.csv"), "--task", "msi", *ON_AWS, *patients).out)
        assert [one["input"] for one in found] == ["P1", "P2"]
        asked = [[slide["slide_id"] for slide in json.loads(body)["slides"]] for body in slides.bodies]
        assert sorted(asked) == [["P1-A", "P1-B"], ["P2"]]

    def test_slides_below_the_features_are_found_by_their_sidecars(self, slides, here, example):
        s3 = boto3.client("s3", region_name="us-east-1")
        sidecar = Sidecar(
            slide_id="S1", status="ok", settings_hash="5e77", slide_uri="s3://x/S1.svs", bytes=3, sha256="b" * 64, tiles=9
        )
        s3.put_object(Bucket=example.bucket, Key="features/5e77/S1.json", Body=sidecar.to_json())
        ask = ("invoke", "--task", "msi", *ON_AWS, "--features", f"s3://{example.bucket}/features")
        assert "1 of 1 answered" in here(*ask, "S1").out
        assert json.loads(slides.bodies[0]) == {
            "slides": [{"slide_id": "S1", "features": f"s3://{example.bucket}/features/5e77/S1.h5", "sha256": "b" * 64}]
        }
        s3.put_object(Bucket=example.bucket, Key="features/6e88/S1.json", Body=sidecar.to_json())
        for name, fault in (("S2", "S2.json is not there"), ("S1", "is there with 2 settings: name the folder of one")):
            done = here(*ask, name)
            assert (done.code, fault in done.err.splitlines()[-1]) == (2, True), done.err
        done = here("invoke", "--task", "msi", *ON_AWS, "S1")
        assert (done.code, "give a slides.csv, or --features" in done.err) == (2, True)

    def test_a_table_of_patients_that_does_not_fit(self, slides, here, tmp_path):
        for content, fault in (
            ("slide_id,patient_id\nP2,P2\n", "slide P1-A is not in it"),
            ("slide_id,patient_id\nP2,P2\nP2,P3\n", "slide P2 has two patients"),
            ("slide,patient\nP2,P2\n", "line 2: it needs slide_id and patient_id"),
        ):
            (tmp_path / "wrong.csv").write_text(content)
            done = here(
                "invoke", str(tmp_path / "slides.csv"), "--task", "msi", *ON_AWS, "--patients", str(tmp_path / "wrong.csv")
            )
            assert (done.code, fault in done.err.splitlines()[-1]) == (2, True), done.err
