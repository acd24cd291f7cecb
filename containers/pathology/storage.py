"""The store of this job: folders where a run is local, S3 otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from pathology.contracts.storage import FolderStore, S3Store, Store

ROOT_VARIABLE = "PATHOLOGY_URI_ROOT"
"""Set by the local runner: the folder in which buckets and file systems are folders."""


def open_store() -> Store:
    """Folders when ``PATHOLOGY_URI_ROOT`` is set, S3 otherwise, in the region of ``AWS_REGION``, which boto3 does not read by itself."""
    root = os.environ.get(ROOT_VARIABLE)
    if root:
        return FolderStore(Path(root))
    import boto3
    from botocore.config import Config

    retries = Config(retries={"mode": "adaptive", "max_attempts": 10})
    return S3Store(boto3.client("s3", region_name=os.environ.get("AWS_REGION") or None, config=retries))
