"""What a change recomputes: the table that was written before the code, of executions started as boto3 and Studio start them."""

import json
import os
import shutil

import numpy as np
import pytest
from in_process import Account

from demo.nuclei import make_nuclei
from demo.patches import make_patches
from demo.slides import Look, paint, write_svs

pytestmark = pytest.mark.slow

PATIENTS, SIDE = 8, 480
MSI = {
    "ManifestUri": "none",
    "Split": "stratified",
    "Folds": "2",
    "TilesPerBag": "20",
    "Precision": "float32",
    "ExtractInstanceCount": "1",
    "MinAuroc": "0",
}


def label_table(labels):
    return "patient_id,label\n" + "".join(f"P{number:02d},{label}\n" for number, label in enumerate(labels))


@pytest.fixture(scope="module")
def msi(tmp_path_factory):
    """Run once. A slide's place ends in a slash, the labels lie beside a file with a longer name, the encoder beside another."""
    account = Account(tmp_path_factory.mktemp("msi"), "msi", {})
    account.values = MSI | {
        "SlidesUri": account.uri("slides/"),
        "LabelsUri": account.uri("labels.csv"),
        "EncoderUri": account.uri("encoder/"),
        "FeaturesUri": account.uri("features"),
    }
    account.path("slides").mkdir(parents=True)
    whole = paint(Look(800, 0.7, 1, 1), np.random.default_rng(3))
    slides = [account.path(f"slides/P{number:02d}.svs") for number in range(PATIENTS)] + [account.path("another.svs")]
    for number, slide in enumerate(slides):
        x, y = 300 + 200 * (number % 4), 300 + 200 * (number // 4)
        write_svs(slide, whole[y : y + SIDE, x : x + SIDE], mpp=0.499)
    largest = max(slide.stat().st_size for slide in slides)
    for slide in slides:
        os.truncate(slide, largest)  # zeros at the end are nobody's: all are of one size
    account.labels = ["MSI-H" if number % 2 else "MSS" for number in range(PATIENTS)]
    account.path("labels.csv").write_text(label_table(account.labels))
    account.path("labels.csv.bak").write_text("an older table")
    shutil.copytree(account.path("encoder"), account.path("encoder-mini"))
    account.first = account.start()
    return account


EXTRACT, TRAIN, EVALUATE = "ExtractFeatures", "TrainMsi", "EvaluateMsi"


def test_msi_a_second_run_is_cached_but_for_prepare_collect_stage_and_compare(msi):
    arn = msi.start()
    steps = msi.steps(arn)
    assert {name for name, step in steps.items() if "CacheHitResult" in step} == {EXTRACT, TRAIN, EVALUATE}
    assert set(steps) - {EXTRACT, TRAIN, EVALUATE} == {
        *("PrepareMsi", "CollectFeatures", "StageFeatures", "CompareMsi", "CheckMsi", "RegisterMsi", "DescribeMsi")
    }
    versions = msi.client.list_model_packages(ModelPackageGroupName=msi.name, SortOrder="Descending")["ModelPackageSummaryList"]
    latest = msi.client.describe_model_package(ModelPackageName=versions[0]["ModelPackageArn"])
    assert latest["CustomerMetadataProperties"]["same_as"] == "1"
    assert latest["ModelCard"]["ModelCardStatus"] == "Draft"


def test_msi_a_slash_less_is_the_same(msi):
    assert msi.recomputed(SlidesUri=msi.uri("slides"), EncoderUri=msi.uri("encoder")) == set()


def test_msi_a_neighbour_with_a_longer_name_is_nobody_s_business(msi):
    msi.path("labels.csv.bak").write_text("another older table")
    (msi.path("encoder-mini") / "encoder.json").write_text("{}")
    assert msi.recomputed() == set()


def test_msi_a_slide_without_a_label_recomputes_the_evaluation_whose_flow_counts_it(msi):
    added = msi.path("slides/P99.svs")
    shutil.copy(msi.path("slides/P00.svs"), added)
    try:
        assert msi.recomputed() == {EVALUATE}
    finally:
        added.unlink()


def test_msi_a_slide_replaced_at_equal_size_recomputes_everything(msi):
    slide, kept = msi.path("slides/P03.svs"), msi.path("kept.svs")
    slide.rename(kept)
    shutil.copy(msi.path("another.svs"), slide)
    assert slide.stat().st_size == kept.stat().st_size
    try:
        assert msi.recomputed() == {EXTRACT, TRAIN, EVALUATE}
    finally:
        kept.replace(slide)  # with its times, which stand for the content here
    with pytest.raises(AssertionError, match="P03 .not extracted.; start again with --param ExtractionRun="):
        msi.start()  # what the cache promises is the other slide's by now
    assert msi.recomputed(ExtractionRun="2") == {EXTRACT}


def test_msi_a_corrected_label_recomputes_no_features(msi):
    table = msi.path("labels.csv")
    table.write_text(label_table(["MSS" if number == 1 else label for number, label in enumerate(msi.labels)]))
    try:
        assert msi.recomputed() == {TRAIN, EVALUATE}
    finally:
        table.write_text(label_table(msi.labels))


def test_msi_a_label_corrected_within_its_class_recomputes_the_evaluation(msi):
    """Its name is in the flow alone."""
    table = msi.path("labels.csv")
    table.write_text(label_table(["MSI-L" if number == 0 else label for number, label in enumerate(msi.labels)]))
    try:
        assert msi.recomputed() == {EVALUATE}
    finally:
        table.write_text(label_table(msi.labels))


@pytest.mark.parametrize(
    ("given", "recomputed"),
    [
        ({"SplitSeed": "7"}, {TRAIN, EVALUATE}),
        ({"Seed": "7"}, {TRAIN, EVALUATE}),
        ({"Prevalences": "0.1"}, {EVALUATE}),
        ({"TilesPerSlide": "3"}, {EXTRACT, TRAIN, EVALUATE}),
        ({"ExtractInstanceType": "ml.g5.xlarge", "TrainInstanceType": "ml.g5.2xlarge"}, set()),
    ],
    ids=",".join,
)
def test_msi_a_parameter_recomputes_what_it_decides(msi, given, recomputed):
    assert msi.recomputed(**given) == recomputed


def test_msi_another_manifest_of_the_encoder_recomputes_everything(msi):
    msi.write_encoder(remark="another remark")
    try:
        assert msi.recomputed() == {EXTRACT, TRAIN, EVALUATE}
    finally:
        msi.write_encoder()


def test_msi_numbers_are_text_as_studio_gives_them_and_answered_so(msi):
    answered = msi.client.list_pipeline_parameters_for_execution(PipelineExecutionArn=msi.first)["PipelineParameters"]
    assert {item["Name"]: item["Value"] for item in answered}["Folds"] == "2"


@pytest.fixture(scope="module")
def mhist(tmp_path_factory):
    """Run once."""
    account = Account(tmp_path_factory.mktemp("mhist"), "mhist", {})
    account.values = {
        "AnnotationsUri": account.uri("mhist/annotations.csv"),
        "ImagesUri": account.uri("mhist/images/"),
        "EncoderUri": account.uri("encoder"),
        "PublishedCounts": "false",
        "MinAuroc": "0",
    }
    account.path("mhist").mkdir(parents=True)
    make_patches(account.path("mhist"), 30)
    shutil.unpack_archive(account.path("mhist/images/images.zip"), account.path("mhist/images"))
    account.path("mhist/images/images.zip").unlink()
    account.start()
    return account


MHIST = {"TrainMhist", "EvaluateMhist"}


def test_mhist_a_second_run_is_cached(mhist):
    assert mhist.recomputed() == set()


def test_mhist_a_patch_replaced_recomputes_training(mhist):
    first, second = sorted(mhist.path("mhist/images").rglob("*.png"))[:2]
    before = first.read_bytes()
    first.write_bytes(second.read_bytes())
    try:
        assert mhist.recomputed() == MHIST
    finally:
        first.write_bytes(before)


def test_mhist_a_vote_recomputes_training(mhist):
    table = mhist.path("mhist/annotations.csv")
    before = table.read_text()
    changed = before.replace(",SSA,6,", ",SSA,7,", 1) if ",SSA,6," in before else before.replace(",HP,0,", ",HP,1,", 1)
    assert changed != before
    table.write_text(changed)
    try:
        assert mhist.recomputed() == MHIST
    finally:
        table.write_text(before)


@pytest.mark.parametrize(
    ("given", "recomputed"), [("SplitSeed", MHIST), ("Seed", MHIST), ("Prevalences", {"EvaluateMhist"})], ids=str
)
def test_mhist_a_parameter_recomputes_what_it_decides(mhist, given, recomputed):
    assert mhist.recomputed(**{given: "0.2" if given == "Prevalences" else "7"}) == recomputed


def test_mhist_another_manifest_of_the_encoder_recomputes_training(mhist):
    mhist.write_encoder(remark="another remark")
    try:
        assert mhist.recomputed() == MHIST
    finally:
        mhist.write_encoder()


@pytest.fixture(scope="module")
def lizard(tmp_path_factory):
    """Run once."""
    account = Account(tmp_path_factory.mktemp("lizard"), "lizard", {})
    account.values = {
        "DatasetUri": account.uri("lizard/"),
        "EncoderUri": account.uri("encoder"),
        "PublishedCounts": "false",
        "MinBpq": "0",
    }
    account.path("lizard").mkdir(parents=True)
    make_nuclei(account.path("lizard"), 24)
    account.start()
    return account


LIZARD = {"TrainLizard", "EvaluateLizard"}


def test_lizard_a_second_run_is_cached(lizard):
    assert lizard.recomputed() == set()


def test_lizard_an_array_changed_at_equal_size_recomputes_training(lizard):
    path = lizard.path("lizard/images.npy")
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 0xFF]))
    try:
        assert lizard.recomputed() == LIZARD
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(("given", "recomputed"), [("SplitSeed", LIZARD), ("Seed", LIZARD)], ids=str)
def test_lizard_a_parameter_recomputes_what_it_decides(lizard, given, recomputed):
    assert lizard.recomputed(**{given: "7"}) == recomputed


def test_lizard_another_manifest_of_the_encoder_recomputes_training(lizard):
    lizard.write_encoder(remark="another remark")
    try:
        assert lizard.recomputed() == LIZARD
    finally:
        lizard.write_encoder()


@pytest.mark.parametrize("task", ["msi", "mhist", "lizard"])
def test_no_parameter_stands_in_an_input_s_uri(request, task):
    """Neither of a Processing input nor of a Training channel: a person's URI is Prepare's to read."""
    for step in request.getfixturevalue(task).definition["Steps"]:
        given = [item["S3Input"]["S3Uri"] for item in step["Arguments"].get("ProcessingInputs", [])]
        given += [
            channel["DataSource"]["S3DataSource"]["S3Uri"]
            for channel in step["Arguments"].get("InputDataConfig", [])
            if "S3DataSource" in channel["DataSource"]
        ]
        assert "Parameters." not in json.dumps(given), step["Name"]
