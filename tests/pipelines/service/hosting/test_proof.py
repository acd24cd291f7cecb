"""What a version's encoder has to be before an endpoint runs it."""

import json

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.service.hosting.proof import check_encoder
from pipelines.service.session import Session
from pipelines.service.version import Version

FOLDER = Uri("s3", "local", "encoders/tiny")


def test_an_encoder_that_is_another_damaged_or_gone_is_refused(example, tmp_path):
    session = Session(example, None, FolderStore(tmp_path), None)
    metadata = {"encoder_uri": str(FOLDER), "encoder_sha256": "a" * 64}
    version = Version({"ModelPackageVersion": 3, "CustomerMetadataProperties": metadata}, {}, None)

    def put(sha256):
        manifest = {"name": "tiny", "sha256": sha256, "architecture": "vit", "dimension": 8, "placeholder": True}
        session.store.write(FOLDER / "encoder.json", json.dumps(manifest).encode())

    def refused(words):
        with pytest.raises(RequestError, match=words):
            check_encoder(session, "mhist", version)

    refused("its encoder cannot be read")
    session.store.write(FOLDER / "encoder.json", b"{")
    refused("its encoder cannot be read")
    put("b" * 64)
    refused("was trained on encoder sha256 aaaaaaaaaaaa…, and .* now holds bbbbbbbbbbbb…")
    put("a" * 64)
    refused("checkpoint.pth is gone")
    session.store.write(FOLDER / "checkpoint.pth", b"weights")
    check_encoder(session, "mhist", version)
    check_encoder(session, "msi", Version({"ModelPackageVersion": 3}, {}, None))  # runs no encoder
