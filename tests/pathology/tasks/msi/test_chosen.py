"""The version that a batch asks: how its features were made, and what keeps it from being asked."""

import hashlib
import io
import json
import tarfile

import pytest
from botocore.exceptions import ClientError
from msi_jobs import MANIFEST
from pathology.asked import NotAnsweredError
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.extraction.made_with import MADE_WITH, MadeWith
from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.msi.prepare_slides import PrepareSlidesMsiJob
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri
from pathology.tasks.msi.chosen import choose

ARN = "arn:aws:sagemaker:us-east-1:000000000000:model-package/pathology-msi/3"
USED = Tiling(precision="float32", min_tissue=0.7)


class Registry:
    """One version, described as the registry does."""

    def __init__(self, described, *, listed=True, refuses=None):
        self.described, self.listed, self.refuses = described, listed, refuses

    def describe_model_package(self, ModelPackageName):
        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses, "Message": "no"}}, "DescribeModelPackage")
        return {**self.described, "ModelPackageArn": ModelPackageName}

    def get_paginator(self, operation):
        summaries = [{"ModelPackageArn": ARN, "ModelPackageVersion": 3}] if self.listed else []
        return type("Pages", (), {"paginate": lambda *_, **__: [{"ModelPackageSummaryList": summaries}]})()


def archive(tiling, *, task="msi", encoder=MANIFEST.sha256):
    """model.tar.gz as far as it is read here, and config.json's sha256."""
    config = {
        "task": task,
        "encoder": {"name": MANIFEST.name, "sha256": encoder},
        "settings_hash": tiling.hash(MANIFEST.name, MANIFEST.sha256),
        "tiling": {"tile_mpp": 0.5, "tile_size": 224, "arithmetic": "float32"},
        "labels": ["MSS", "MSI-H"],
        "threshold": 0.4,
    }
    content, buffer = json.dumps(config).encode(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in (("config.json", content), ("code/inference.py", b"")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue(), hashlib.sha256(content).hexdigest()


@pytest.fixture
def asked(store):
    """``asked(…)``: what is found of a version that is there as told."""

    def found(tiling=USED, *, noted=True, proven=True, status="Approved", version="approved", group="pathology-msi", **settings):
        registry = settings.pop("registry", {})
        packed, sha256 = archive(tiling, **settings.pop("artefact", {}))
        folder = FolderStore(store.parents[1])
        folder.write(Uri.parse("s3://bucket/model.tar.gz"), packed)
        folder.write(Uri.parse("s3://bucket/enc/encoder.json"), MANIFEST.to_json())
        if noted:
            uri = Uri.parse(f"s3://bucket/features/{tiling.hash(MANIFEST.name, MANIFEST.sha256)}/{MADE_WITH}")
            folder.write(uri, MadeWith.of(tiling, MANIFEST.name, MANIFEST.sha256).to_json())
        digest = hashlib.sha256(packed).hexdigest() if proven is True else "0" * 64
        block = {
            "task": "msi",
            "n": 1,
            "confidence": 0.95,
            "intervals": {},
            "seen": {"unit": "patients", "test_items": 1, "seen": 0, "names": []},
            "model": {"version": sha256[:12], "config_sha256": sha256, "archive_uri": "s3://bucket/model.tar.gz"}
            | {"archive_sha256": digest},
        }
        if proven is not None:
            folder.write(Uri.parse("s3://bucket/e/evaluation.json"), json.dumps({"pathology": block}).encode())
            folder.write(Uri.parse("s3://bucket/e/predictions.csv"), b"patient_id,label,probability\nP,1,0.5\n")
        described = {
            "ModelPackageGroupName": "pathology-msi",
            "ModelPackageVersion": 3,
            "ModelApprovalStatus": status,
            "InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://bucket/model.tar.gz"}]},
            "CustomerMetadataProperties": {"encoder_uri": "s3://bucket/enc", "model_version": sha256[:12]},
            "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": "s3://bucket/e/evaluation.json"}}},
        }
        places = {"slides": "s3://bucket/slides", "features": "s3://bucket/features", "prepared": "s3://bucket/p"}
        job = PrepareSlidesMsiJob(version=version, group=group, **places, **settings)
        return choose(Registry(described, **registry), folder, job)

    return found


@pytest.mark.parametrize("noted", [True, False])
def test_features_are_made_as_the_models_own(asked, noted):
    used = USED if noted else Tiling(precision="float32")
    chosen, warnings = asked(used, noted=noted)
    assert chosen.settings == used.as_strings()
    assert (chosen.arn, chosen.archive_proven, warnings) == (ARN, True, [])


def test_what_only_a_person_knows_may_be_given_and_the_hash_proves_it(asked):
    with pytest.raises(DataError, match="says which those are"):
        asked(noted=False)
    assert asked(noted=False, min_tissue=0.7)[0].settings == USED.as_strings()
    with pytest.raises(DataError, match="says which those are"):
        asked(noted=False, min_tissue=0.8)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"precision": "float16"}, "precision is float16 here and float32 of the model"),
        (
            {"max_tiles": 3, "min_tissue": 0.5},
            "min-tissue is 0.5 here and 0.7 of the model; max-tiles is 3 here and 0 of the model",
        ),
    ],
)
def test_other_settings_are_refused_with_both_values(asked, given, words):
    with pytest.raises(RequestError, match=words):
        asked(**given)
    assert asked(precision="float32", min_tissue=0.7)[0].settings == USED.as_strings()


def test_one_that_is_not_approved_or_not_proven_is_said(asked):
    chosen, (first, warning) = asked(status="Rejected", version=ARN, proven=None)
    assert first == "version 3 is Rejected and not approved"
    assert not chosen.archive_proven and "nothing proves that the artefact is the one that was evaluated" in warning


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"registry": {"listed": False}}, "pathology-msi has no approved version: approve one"),
        ({"proven": False}, r"model.tar.gz: the artefact is another than was evaluated, or damaged \(its sha256 differs\)"),
        ({"version": ARN, "registry": {"refuses": "ResourceNotFound"}}, "there is no such model version"),
        ({"version": ARN, "group": "other"}, "it is of the group pathology-msi, and this pipeline asks versions of other"),
        ({"artefact": {"task": "mhist"}}, "the artefact is of the task mhist, not msi"),
        ({"artefact": {"encoder": "b" * 64}}, "was trained on tiny"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(asked, given, words):
    with pytest.raises(DataError, match=words):
        asked(**given)


def test_a_registry_that_refuses_is_said_with_the_permission(asked):
    with pytest.raises(NotAnsweredError, match="lacks the permission sagemaker:DescribeModelPackage"):
        asked(version=ARN, registry={"refuses": "AccessDeniedException"})
