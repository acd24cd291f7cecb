"""Versions deployed on this machine through the verbs: approved, asked, updated under a stream of requests, rolled back, taken away."""

import csv
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from laptop import RUNS, Laptop
from pathology.contracts.uris import Uri
from test_lizard import VALUES as LIZARD
from test_lizard import make_run as run_lizard
from test_mhist import VALUES as MHIST
from test_mhist import make_run as run_mhist
from test_msi import account as msi_account
from test_msi import make_run as run_msi

from pipelines.local.client import LocalSageMaker
from pipelines.local.hosting import hosted
from pipelines.local.runtime import LocalRuntime
from tests.made import made_once
from tests.waiting import until

pytestmark = pytest.mark.slow


def deployed(laptop, *arguments):
    done = laptop.verb("deploy", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def approve(laptop, number):
    done = laptop.verb("approve", str(number), "--note", "a test", "--accept-warning", "placeholder-encoder")
    assert done.returncode == 0, done.stderr


def evaluated(laptop):
    return json.loads(laptop.report().with_name("evaluation.json").read_text())["pathology"]


def predictions(laptop):
    with laptop.report().with_name("predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def results(folder):
    with (folder / "results.csv").open(newline="") as file:
        return {row["input"]: row for row in csv.DictReader(file)}


def gone(laptop, name):
    """Nothing of an endpoint is left: neither its folder nor a process that names it."""
    words = f"pipelines.local.front\0{laptop.state}\0{name}".encode()
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if words in _read(path)]
    return not hosted(laptop.state, name).folder.exists() and running == []


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def taken_away(laptop):
    name = f"pathology-{laptop.task}"
    done = laptop.verb("undeploy", "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: gone(laptop, name), lambda: f"the end of {name}")
    client = LocalSageMaker(laptop.state)
    assert client.list_models()["Models"] == client.list_endpoint_configs()["EndpointConfigs"] == []
    assert client.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"], "versions stay"


class Asking:
    """A thread that asks an endpoint without a pause, as an application would: every answer, and every failure."""

    def __init__(self, laptop, body):
        self.runtime, self.body = LocalRuntime(laptop.state), body
        self.answers, self.failures, self.over = [], [], threading.Event()
        self.thread = threading.Thread(target=self._ask)

    def _ask(self):
        while not self.over.is_set():
            try:
                answer = self.runtime.invoke_endpoint(EndpointName="pathology-mhist", Body=self.body, ContentType="image/png")
                self.answers.append(json.loads(answer["Body"].read()))
            except Exception as error:
                self.failures.append(repr(error))
            time.sleep(0.01)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def break_code(laptop, folder):
    """Register a version whose server ends as soon as it starts, with its own hash in its evaluation; approved."""
    client = LocalSageMaker(laptop.state)
    version = client.describe_model_package(ModelPackageName="pathology-mhist/1")
    archive = Uri.parse(version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    with tarfile.open(archive.under(laptop.state)) as packed:
        packed.extractall(folder, filter="data")
    for path in folder.rglob("serve.py"):
        path.write_text("raise SystemExit('this server is broken')\n")
    broken, evaluation = Uri.parse("s3://local/broken/model.tar.gz"), Uri.parse("s3://local/broken/evaluation.json")
    broken.under(laptop.state).parent.mkdir(parents=True)
    with tarfile.open(broken.under(laptop.state), "w:gz") as packed:
        for path in sorted(folder.iterdir()):
            packed.add(path, path.name)
    said = json.loads(laptop.report().with_name("evaluation.json").read_text())
    said["pathology"]["model"]["archive_sha256"] = hashlib.sha256(broken.under(laptop.state).read_bytes()).hexdigest()
    evaluation.under(laptop.state).write_text(json.dumps(said))
    (evaluation.parent / "predictions.csv").under(laptop.state).write_bytes(
        laptop.report().with_name("predictions.csv").read_bytes()
    )
    specification = version["InferenceSpecification"]
    specification["Containers"][0]["ModelDataUrl"] = str(broken)
    quality = {"Statistics": {"ContentType": "application/json", "S3Uri": str(evaluation)}}
    client.create_model_package(
        ModelPackageGroupName="pathology-mhist",
        ModelApprovalStatus="Approved",
        InferenceSpecification=specification,
        ModelMetrics={"ModelQuality": quality},
        CustomerMetadataProperties=version["CustomerMetadataProperties"],
    )


def test_a_classifier_is_asked_updated_under_a_stream_and_a_broken_one_rolled_back(tmp_path):
    laptop = Laptop(tmp_path / "state", "mhist", MHIST).take_over(made_once("mhist-run", run_mhist, also=RUNS))
    refused = laptop.verb("deploy", "--version", "1")
    assert (refused.returncode, "say --allow-unapproved" in refused.stderr) == (2, True)
    approve(laptop, 1)
    done = deployed(laptop)
    assert "first request: patch " in done.stdout and "; Evaluate wrote " in done.stdout

    known = {row["image"]: row for row in predictions(laptop)}
    images, folder = Uri.parse(evaluated(laptop)["data_uris"]["images"]).under(laptop.state), tmp_path / "patches"
    folder.mkdir()
    for name in known:
        (folder / name).write_bytes((images / name).read_bytes())
    asked = laptop.verb("invoke", str(folder), "--out", str(tmp_path / "out"))
    assert asked.returncode == 0, asked.stderr
    for name, row in results(tmp_path / "out").items():
        assert abs(float(row["probability"]) - float(known[name]["probability"])) <= 1e-6, name

    more = laptop.start(Epochs="7")
    assert more.returncode == 0, more.stderr
    models = [
        LocalSageMaker(laptop.state).describe_model_package(ModelPackageName=f"pathology-mhist/{number}")[
            "CustomerMetadataProperties"
        ]["model_version"]
        for number in (1, 2)
    ]
    assert models[0] != models[1]
    approve(laptop, 2)
    body = (folder / next(iter(known))).read_bytes()
    with Asking(laptop, body) as first, Asking(laptop, body) as second:
        until(lambda: first.answers and second.answers, lambda: "answers")
        assert "version 2 in service, updated" in deployed(laptop).stdout
        break_code(laptop, tmp_path / "broken")
        broken = laptop.verb("deploy", "--version", "3")
        seen = len(first.answers)
        until(lambda: len(first.answers) > seen + 3, lambda: "answers after all")
    assert broken.returncode == 1, broken.stdout
    assert "version 3 was rolled back" in broken.stderr and "serves version 2 as before" in broken.stderr, broken.stderr
    assert first.failures == second.failures == []
    for each in (first, second):
        order = [models.index(answer["model_version"]) for answer in each.answers]
        assert set(order) == {0, 1}, "both answered"
        assert order[-1] == 1
        assert {len({answer["probability"] for answer in each.answers if answer["model_version"] == one}) for one in models} == {
            1
        }
    listed = json.loads(laptop.verb("endpoints", "--json").stdout)
    assert [(one["endpoint"], one["version"], one["status"]) for one in listed] == [("pathology-mhist", "2", "InService")]
    assert json.loads(laptop.verb("version", "2", "--json").stdout)["deployed"] == {"pathology-mhist": "InService"}
    taken_away(laptop)


def test_patients_are_asked_by_their_features_and_answered_as_evaluate_wrote(tmp_path):
    laptop = msi_account(tmp_path / "state").take_over(made_once("msi-run", run_msi, also=RUNS))
    approve(laptop, 1)
    assert "first request: patient " in deployed(laptop).stdout
    evaluation = evaluated(laptop)
    known = {row["patient_id"]: float(row["probability"]) for row in predictions(laptop)}
    slides = [name for row in predictions(laptop) for name in row["slide_ids"].split(";")]
    table = Uri.parse(evaluation["data_uris"]["slides"]).under(laptop.state)
    lines = table.read_text().splitlines()
    (tmp_path / "slides.csv").write_text("\n".join([lines[0], *(one for one in lines if one.split(",")[0] in slides)]) + "\n")
    cohort = Uri.parse(evaluation["data_uris"]["cohort"]).under(laptop.state)
    arguments = (str(tmp_path / "slides.csv"), "--patients", str(cohort), "--out", str(tmp_path / "out"))
    asked = laptop.verb("invoke", *arguments)
    assert asked.returncode == 0, asked.stderr
    found = {name: float(row["probability"]) for name, row in results(tmp_path / "out").items()}
    assert found.keys() == known.keys()
    assert max(abs(found[name] - known[name]) for name in known) <= 1e-6
    heat = laptop.verb("invoke", *arguments, "--format", "geojson")
    assert heat.returncode == 0, heat.stderr
    drawn = json.loads((tmp_path / "out" / f"{next(iter(known))}.geojson").read_text())
    assert drawn["type"] == "FeatureCollection" and drawn["features"]
    taken_away(laptop)


def test_nuclei_come_as_geojson_and_by_curl(tmp_path):
    laptop = Laptop(tmp_path / "state", "lizard", LIZARD).take_over(made_once("lizard-run", run_lizard, also=RUNS))
    approve(laptop, 1)
    done = deployed(laptop)
    assert "first request: the project's sample nuclei.png" in done.stdout
    url = next(line.split()[-1] for line in done.stdout.splitlines() if "http://127.0.0.1:" in line)
    picture = Path(__file__).parents[2] / "pipelines/service/hosting/samples/nuclei.png"
    curl = [
        sys.executable,
        "-c",
        "import sys,urllib.request as u;print(u.urlopen(u.Request(sys.argv[1],open(sys.argv[2],'rb').read(),",
    ]
    curl[-1] += "{'Content-Type':'image/png'})).read().decode())"
    env = {**os.environ, "NO_PROXY": "127.0.0.1"}
    answered = subprocess.run([*curl, url, str(picture)], env=env, capture_output=True, text=True, check=True)
    asked = laptop.verb("invoke", str(picture), "--out", str(tmp_path / "out"))
    assert asked.returncode == 0, asked.stderr
    written = json.loads((tmp_path / "out" / "nuclei.png.geojson").read_text())
    assert written == json.loads(answered.stdout) and written["type"] == "FeatureCollection"
    assert results(tmp_path / "out")["nuclei.png"]["nuclei"] == str(len(written["features"]))
    taken_away(laptop)
