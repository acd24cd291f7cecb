"""The msi pipeline whole, through its verbs, on this machine: real files in, a registered model version out."""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from laptop import RUNS, Laptop
from pathology.contracts.cohort import SlideRow
from pathology.contracts.uris import Uri
from served import served, version_of

from demo.slides import Look, paint, write_svs
from pipelines.local.client import LocalSageMaker
from tests.made import made_once
from tests.tiny_encoder import copy_tiny_encoder

PATIENTS, SIDE = 16, 560
SMALL = {
    "Epochs": "3",
    "TilesPerBag": "20",
    "MinAuroc": "0",
    "Precision": "float32",
    "ManifestUri": "none",
    "ExtractInstanceCount": "2",
    "Split": "stratified",
}
SETTLED = ("ExtractFeatures", "TrainMsi", "EvaluateMsi")


def account(state: Path, bucket: str = "local") -> Laptop:
    """An account with an encoder, whose runs read ``slides`` and ``labels.csv``."""
    uris = {"SlidesUri": "slides", "LabelsUri": "labels.csv", "EncoderUri": "tiny", "FeaturesUri": "features"}
    return Laptop(state, "msi", {**SMALL, **{name: f"s3://{bucket}/{key}" for name, key in uris.items()}}, bucket)


def write_labels(laptop: Laptop, text: str) -> None:
    laptop.path("labels.csv").write_text(text)


def write_cohort(laptop: Laptop, pictures: Iterable[np.ndarray]) -> None:
    """A slide for each picture, a patient each; labels take turns."""
    laptop.path("slides").mkdir(parents=True)
    lines = ["patient_id,label"]
    for number, pixels in enumerate(pictures):
        write_svs(laptop.path(f"slides/P{number:02d}.svs"), pixels, mpp=0.499)
        lines.append(f"P{number:02d},{'MSI-H' if number % 2 else 'MSS'}")
    write_labels(laptop, "\n".join(lines) + "\n")


def painted() -> Iterator[np.ndarray]:
    """Pieces of one painted slide."""
    whole = paint(Look(800, 0.7, 1, 1), np.random.default_rng(3))
    for number in range(PATIENTS):
        x, y = 300 + 200 * (number % 4), 300 + 200 * (number // 4)
        yield whole[y : y + SIDE, x : x + SIDE]


def make_run(folder: Path) -> None:
    """An account in which the pipeline has run once on painted slides."""
    laptop = account(folder / "state")
    write_cohort(laptop, painted())
    laptop.run_first()


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A copy of it."""
    laptop = account(tmp_path_factory.mktemp("laptop") / "state").take_over(made_once("msi-run", make_run, also=RUNS))
    laptop.labels = laptop.path("labels.csv").read_text()
    return laptop


def versions(laptop):
    answer = LocalSageMaker(laptop.state).list_model_packages(ModelPackageGroupName="pathology-msi")
    return len(answer["ModelPackageSummaryList"])


def test_a_run_ends_in_a_model_version_and_says_how_good_it_is(laptop):
    out = laptop.first
    assert "AUROC: " in out
    assert "95% interval" in out
    assert (
        "model package: arn:aws:sagemaker:us-east-1:000000000000:model-package/pathology-msi/1 (version 1, PendingManualApproval)"
        in out
    )
    html = laptop.report().read_text()
    assert "<html" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "seeded" in html


def test_every_number_is_of_this_cohort(laptop):
    cohort = next(laptop.state.glob("s3/local/prepared/msi/*/cohort.csv"))
    rows = list(csv.DictReader(cohort.open()))
    assert len(rows) == PATIENTS
    evaluation = json.loads(
        next(laptop.state.glob("s3/local/runs/pathology-msi/*/EvaluateMsi/evaluation/evaluation.json")).read_text()
    )
    block = evaluation["pathology"]
    assert block["n"] + len(block["not_evaluable"]) == sum(row["split"] == "test" for row in rows)
    assert block["n"] > 0
    assert block["seen"] == {"unit": "patients", "test_items": block["n"], "seen": 0, "names": []}
    assert evaluation["pathology"]["encoder"]["placeholder"] is True


def test_the_version_says_what_the_run_used(laptop):
    version = LocalSageMaker(laptop.state).describe_model_package(ModelPackageName="pathology-msi/1")
    config = next(laptop.state.glob("s3/local/runs/pathology-msi/*/EvaluateMsi/evaluation/evaluation.json")).read_text()
    metadata = version["CustomerMetadataProperties"]
    assert metadata.pop("features") == json.loads(config)["pathology"]["registry"]["features"]
    assert metadata.pop("model_version") == json.loads(config)["pathology"]["model"]["version"]
    assert len(metadata.pop("evaluation_sha256")) == 64
    assert metadata == {
        "task": "msi",
        "labels": "MSI-H:MSI-L or MSS",
        "tile": "224 px at 0.5 microns per pixel",
        "aggregation": "gated attention MIL: ensemble of 5 folds",
        "encoder": laptop.encoder.name,
        "encoder_sha256": laptop.encoder.sha256,
        "encoder_origin": "placeholder with seeded weights",
        "encoder_uri": "s3://local/tiny",
        **laptop.drift_baseline(),
        "gate": "AUROC lower bound at least 0 - no approved version to compare with",
        "looks": "1",
        "execution": laptop.report().parents[2].name,
    }
    card = version.pop("ModelCard")
    assert "optimus" not in str(version).lower()
    assert card["ModelCardStatus"] == "Draft"
    details = json.loads(card["ModelCardContent"])["additional_information"]
    assert details["custom_details"]["encoder"] == laptop.encoder.name
    assert "is a placeholder with seeded weights" in details["caveats_and_recommendations"]
    assert version["ModelLifeCycle"] == {"Stage": "Development", "StageStatus": "PendingApproval"}
    assert version["SourceUri"] == version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]


def test_an_endpoint_of_the_version_answers_what_was_evaluated(laptop, tmp_path):
    """Of the features that extraction left in the account, over HTTP; attention lies on the slide that they are of."""
    slides = {row.slide_id: row for row in SlideRow.read(next(laptop.path("features").glob("*/cohorts/*/slides.csv")))}
    predictions = list(csv.DictReader(laptop.report().with_name("predictions.csv").open()))
    registered = version_of(laptop)["CustomerMetadataProperties"]["model_version"]
    with served(laptop, tmp_path) as server:
        for row in predictions:
            (slide,) = (slides[name] for name in row["slide_ids"].split(";"))
            body = json.dumps({"slides": [{name: getattr(slide, name) for name in ("slide_id", "features", "sha256")}]})
            answer = server.post(body, {"Content-Type": "application/json"}).json()
            assert answer["probability"] == pytest.approx(float(row["probability"]), rel=0, abs=1e-6)
            assert answer["label"] == ("MSI-L or MSS", "MSI-H")[int(row["predicted"])]
            assert answer["tiles"] == {"pooled": slide.tiles, "with_tissue": slide.tiles, "failed": 0, "sampled": 0}
            assert answer["model_version"] == registered
        attention = server.post(body, {"Content-Type": "application/json", "Accept": "application/geo+json"}).json()
    assert len(attention["features"]) == slide.tiles and attention["slides"][0]["side"] == pytest.approx(
        224 * 0.5 / 0.499, abs=0.01
    )
    corners = np.array([one["geometry"]["coordinates"][0] for one in attention["features"]])
    assert corners.min() >= 0 and corners.max() <= SIDE
    assert len(np.unique(corners[:, 0], axis=0)) == slide.tiles
    assert f"model version: {registered}, as an endpoint of it answers" in laptop.first


def test_two_hosts_shared_the_slides(laptop):
    logs = sorted(laptop.state.glob("executions/*/jobs/*ExtractFeatures*/algo-*.log"))
    assert len(logs) == 2
    lines = [line for log in logs for line in log.read_text().splitlines() if line.startswith("Processing slide #")]
    assert len({line.partition(": ")[2] for line in lines}) == len(lines) == PATIENTS


def test_nothing_changed_is_cached_and_a_changed_label_is_not(laptop):
    again = laptop.start()
    assert again.returncode == 0, again.stdout
    steps = laptop.steps()
    assert {name for name in SETTLED if "CacheHitResult" in steps[name]} == set(SETTLED)
    latest = LocalSageMaker(laptop.state).describe_model_package(ModelPackageName=f"pathology-msi/{versions(laptop)}")
    assert latest["CustomerMetadataProperties"]["same_as"] == "1"
    write_labels(laptop, laptop.labels.replace("P00,MSS", "P00,MSI-L"))  # named in the flow alone: still negative
    try:
        assert laptop.start().returncode == 0
        steps = laptop.steps()
        assert {name for name in SETTLED if "CacheHitResult" in steps[name]} == {"ExtractFeatures", "TrainMsi"}
    finally:
        write_labels(laptop, laptop.labels)


@pytest.mark.slow
def test_a_feature_file_that_is_gone_is_named_and_comes_back(laptop):
    assert laptop.start().returncode == 0  # whatever other tests changed has run: from here on extraction is cached
    gone = next(laptop.state.glob("s3/local/features/*/P*.h5"))
    gone.unlink()
    failed = laptop.start()
    assert failed.returncode == 1
    assert gone.stem in failed.stdout
    assert "ExtractionRun" in failed.stdout
    fixed = laptop.start(ExtractionRun="2")
    assert fixed.returncode == 0, fixed.stdout
    assert gone.is_file()


@pytest.mark.slow
def test_training_alone_builds_on_the_last_execution(laptop):
    before = versions(laptop)
    done = laptop.verb("start", "--only", "TrainMsi,EvaluateMsi,CompareMsi,CheckMsi", "--param", "Epochs=2")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = laptop.steps()
    assert {name for name, step in steps.items() if "SelectiveExecutionResult" in step} == {
        *("PrepareMsi", "CollectFeatures", "StageFeatures")
    }
    assert versions(laptop) == before + 1


@pytest.mark.slow
def test_preparing_alone_looks_at_the_data_as_they_are_now(laptop):
    """Prepare is not answered from the cache, whatever the selection builds on."""
    write_labels(laptop, laptop.labels.replace("P02,MSS", "P02,MSI-L"))
    try:
        done = laptop.verb("start", "--only", "PrepareMsi", "--source", "latest")
    finally:
        write_labels(laptop, laptop.labels)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = laptop.steps()
    assert set(steps) == {"PrepareMsi"}
    assert "CacheHitResult" not in steps["PrepareMsi"]


@pytest.mark.slow
def test_below_the_threshold_nothing_is_registered(laptop):
    before = versions(laptop)
    failed = laptop.start(MinAuroc="1.0", Epochs="1")
    assert failed.returncode == 1
    assert "of AUROC 0." in failed.stdout and "is below 1, by" in failed.stdout
    assert "; nothing was registered. See the report of EvaluateMsi." in failed.stdout
    assert versions(laptop) == before


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("name,status\nP00,MSS\n", "column"),
        ("patient_id,label\nP00,MSS\nP00,MSI-H\n", "P00"),
        ("patient_id,label\n" + "".join(f"P{n:02d},MSS\n" for n in range(PATIENTS)), "MSI-H"),
        ("patient_id,label\n" + "".join(f"P{n:02d},NA\n" for n in range(PATIENTS)), "label"),
    ],
)
def test_labels_that_are_wrong_end_the_run_before_extraction(laptop, labels, message):
    write_labels(laptop, labels)
    try:
        failed = laptop.start()
    finally:
        write_labels(laptop, laptop.labels)
    assert failed.returncode == 1
    assert message in laptop.steps()["PrepareMsi"]["FailureReason"]
    assert set(laptop.steps()) == {"PrepareMsi"}


def test_slides_that_do_not_exist_end_the_run_before_extraction(laptop):
    failed = laptop.start(SlidesUri="s3://local/nowhere")
    assert failed.returncode == 1
    assert "s3://local/nowhere" in laptop.steps()["PrepareMsi"]["FailureReason"]
    assert set(laptop.steps()) == {"PrepareMsi"}


@pytest.mark.parametrize("given", ["Epoch=3", "Epochs=0", "SlidesUri=efs://fs-00000000/datasets/x"])
def test_a_wrong_parameter_starts_nothing(laptop, given):
    before = len(list((laptop.state / "executions").iterdir()))
    refused = laptop.verb("start", "--param", given)
    assert refused.returncode == 2
    assert len([line for line in refused.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert len(list((laptop.state / "executions").iterdir())) == before


@pytest.mark.slow
def test_the_definition_for_aws_runs_here_too(laptop, example_definition, tmp_path_factory):
    """The JSON of environments/example.yaml, its parameters overridden, in an account of its own."""
    name, text, code, bucket = example_definition
    other = account(tmp_path_factory.mktemp("other") / "state", bucket)
    copy_tiny_encoder(other.path("tiny"))
    other.path("slides").mkdir(parents=True)
    for slide in laptop.path("slides").iterdir():
        other.path(f"slides/{slide.name}").symlink_to(slide)
    write_labels(other, laptop.labels)
    for uri, archive in code.items():
        path = Uri.parse(uri).under(other.state)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive)
    client = LocalSageMaker(other.state)
    client.create_pipeline(
        PipelineName=name, PipelineDefinition=text, RoleArn="arn:aws:iam::111122223333:role/pathology-pipeline"
    )
    client.create_model_package_group(ModelPackageGroupName="pathology-msi")
    done = other.start()
    assert done.returncode == 0, done.stdout + done.stderr
    assert versions(other) == 1


@pytest.fixture(scope="module")
def example_definition():
    from pipelines.builder import build
    from pipelines.config import load_environment, load_task

    example = load_environment("example")
    compiled = build("msi", load_task("msi", example), example)
    return compiled.name, compiled.text, compiled.code, example.bucket


@pytest.mark.slow
def test_extraction_as_training_reads_slides_from_the_file_system(laptop):
    """``extract.run-as: training``: slides on EFS, named by a manifest, in gdc-client's layout."""
    from pipelines.builder import build
    from pipelines.config import LOCAL, load_task

    root = Uri.parse(f"efs://{LOCAL.file_system}/datasets/crops")
    lines = ["id\tfilename\tmd5\tsize\tstate"]
    for number, slide in enumerate(sorted(laptop.path("slides").iterdir())):
        folder = root.under(laptop.state) / f"{number:08d}-0000-4000-8000-000000000000"
        folder.mkdir(parents=True)
        (folder / slide.name).symlink_to(slide)
        digest = hashlib.md5(slide.read_bytes()).hexdigest()
        lines.append(f"{folder.name}\t{slide.name}\t{digest}\t{slide.stat().st_size}\treleased")
    laptop.path("manifest.txt").write_text("\n".join(lines) + "\n")
    task = load_task("msi", LOCAL)
    dataset = task.dataset.model_copy(update={"slides": str(root), "manifest": laptop.uri("manifest.txt")})
    extract = task.extract.model_copy(update={"run_as": "training"})
    compiled = build("msi", task.model_copy(update={"pipeline": "msi-efs", "dataset": dataset, "extract": extract}), LOCAL)
    client = LocalSageMaker(laptop.state)
    client.create_pipeline(PipelineName=compiled.name, PipelineDefinition=compiled.text, RoleArn=LOCAL.pipeline_role)
    mine = {**laptop.values, "FeaturesUri": laptop.uri("features-efs"), "SlidesUri": str(root)}
    del mine["ManifestUri"]
    given = [{"Name": name, "Value": value} for name, value in mine.items()]
    arn = client.start_pipeline_execution(PipelineName=compiled.name, PipelineParameters=given)["PipelineExecutionArn"]
    watched = laptop.verb("watch", arn)
    assert watched.returncode == 0, watched.stdout
    extraction = next(
        step
        for step in client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        if step["StepName"] == "ExtractFeatures"
    )
    job = client.describe_training_job(TrainingJobName=extraction["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2])
    assert {channel["ChannelName"] for channel in job["InputDataConfig"]} == {
        *("code", "encoder", "models", "slides", "slides_to_extract")
    }
    assert len(list(laptop.state.glob("s3/local/features-efs/*/*.h5"))) > 0


def crops(slide, side: int = 700) -> Iterator[np.ndarray]:
    """Pieces of a slide; neighbours overlap, so that nothing can be learned of patients from them."""
    width, height = slide.dimensions
    for number in range(PATIENTS):
        x, y = (width - side) * (number % 4) // 3, (height - side) * (number // 4) // (PATIENTS // 4 - 1)
        yield np.asarray(slide.read_region((x, y), 0, (side, side)).convert("RGB"))


@pytest.mark.slow
def test_pieces_of_a_real_slide_end_in_a_model_version(shared_data, tmp_path):
    import openslide

    laptop = account(tmp_path / "state")
    with openslide.OpenSlide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        write_cohort(laptop, crops(slide))
    laptop.values |= {"MaxLeftOutFraction": "0.5", "SplitSeed": "0"}  # a quarter of the pieces is glass, in train and in test
    laptop.run_first()
    assert versions(laptop) == 1
    assert len(list(laptop.path("features").glob("*/P*.h5"))) > PATIENTS // 2
