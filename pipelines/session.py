"""The seam to AWS: an object with boto3's SageMaker method names, and a store. boto3's own, or this machine's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathology.contracts.storage import FolderStore, S3Store, Store

from steps.environment import Environment

STATE_VARIABLE = "PATHOLOGY_STATE"
STATE = ".pathology"


def state_folder() -> Path:
    """Where local state lives: ``.pathology`` below the working directory, or ``PATHOLOGY_STATE``."""
    return Path(os.environ.get(STATE_VARIABLE, STATE)).resolve()


@dataclass(frozen=True)
class Session:
    """What verbs talk to."""

    sagemaker: Any
    store: Store


def open_session(env: Environment) -> Session:
    """boto3's clients for AWS; folders and processes for the local environment."""
    if env.local:
        from pipelines.local.client import LocalSageMaker

        return Session(LocalSageMaker(state_folder()), FolderStore(state_folder()))
    import boto3
    from botocore.config import Config

    config = Config(region_name=env.region, retries={"mode": "adaptive", "max_attempts": 8})
    session = boto3.Session(region_name=env.region)
    return Session(session.client("sagemaker", config=config), S3Store(session.client("s3", config=config)))
