"""The model registry as a job asks it: boto3 in either place, which finds by itself where to ask."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config

ATTEMPTS = 10
"""Of a call that is throttled or not answered; some minutes in all."""


def open_registry() -> Any:
    """boto3's client of SageMaker, in the region of ``AWS_REGION``, which boto3 does not read by itself."""
    config = Config(retries={"mode": "adaptive", "max_attempts": ATTEMPTS}, connect_timeout=10, read_timeout=30)
    session = boto3.Session(
        region_name=os.environ.get("AWS_REGION") or None
    )  # boto3's own keeps the credentials of its first use
    return session.client("sagemaker", config=config)
