"""A candidate against the approved version, through the verbs on this machine."""

import json
import re

import pytest
from laptop import Laptop

from demo.patches import make_patches
from pipelines.local.client import LocalSageMaker

pytestmark = pytest.mark.slow

PATCHES = 150
"""Of which 47 are tested: it takes 30 to compare."""
VALUES = {
    "AnnotationsUri": "s3://local/mhist/annotations.csv",
    "ImagesUri": "s3://local/mhist/images",
    "EncoderUri": "s3://local/tiny/",
    "PublishedCounts": "false",
    "MinAuroc": "0",
}
GROUP = "pathology-mhist"


def test_a_worse_model_than_the_approved_one_is_refused_the_same_is_registered_and_a_new_test_is_answered_again(tmp_path):
    laptop = Laptop(tmp_path / "state", "mhist", VALUES)
    laptop.path("mhist").mkdir(parents=True)
    make_patches(laptop.path("mhist"), PATCHES)
    laptop.run_first()
    client = LocalSageMaker(laptop.state)
    (first,) = client.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    client.update_model_package(
        ModelPackageArn=first["ModelPackageArn"], ModelApprovalStatus="Approved", ApprovalDescription="looked at"
    )

    same = laptop.start()
    assert same.returncode == 0, same.stdout + same.stderr
    assert "AUROC less version 1's on the same 47 patches is +0.000" in same.stdout
    described = client.describe_model_package(ModelPackageName=f"{GROUP}/2")["CustomerMetadataProperties"]
    assert described["gate"] == f"AUROC lower bound at least 0 - not-worse than version 1 of {GROUP}"
    assert described["looks"] == "1"  # the evaluation out of the cache

    definition = client.describe_pipeline(PipelineName=GROUP)["PipelineDefinition"]
    shuffled = re.sub(r'("shuffle-labels": ?)"false"', r'\1"true"', definition)
    assert shuffled != definition
    client.update_pipeline(PipelineName=GROUP, PipelineDefinition=shuffled)
    worse = laptop.start()
    assert worse.returncode == 1
    assert "against version 1's" in worse.stdout and "more than max-regression 0.05" in worse.stdout
    assert "; nothing was registered. See the report of EvaluateMhist." in worse.stdout
    assert "looks at this test set: 2" in worse.stdout
    assert len(client.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]) == 2

    # The same on other patches, which version 1 has not answered and was not trained on: its own artefact does, with its own encoder.
    laptop.path("others").mkdir()
    make_patches(laptop.path("others"), PATCHES, seed=1)
    other = laptop.start(AnnotationsUri="s3://local/others/annotations.csv", ImagesUri="s3://local/others/images")
    assert other.returncode == 1 and "against version 1's" in other.stdout, other.stdout + other.stderr
    found = [json.loads(path.read_bytes()) for path in laptop.path("runs").glob("*/*/CompareMhist/comparison/comparison.json")]
    by = sorted((each["answered_by"], each["answered"], each["passed"]) for each in found if each["champion"])
    assert by == [
        ("its artefact, run again", 47, False),
        ("stored predictions", 47, False),
        ("stored predictions", 47, True),
    ]
