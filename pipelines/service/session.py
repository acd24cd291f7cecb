"""The seam to AWS: objects with boto3's method names for SageMaker and CloudWatch Logs, and a store. boto3's own, or this machine's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathology.contracts.storage import FolderStore, S3Store, Store

from steps.environment import Environment

STATE_VARIABLE = "PATHOLOGY_STATE"
STATE = ".pathology"
_MAX_ATTEMPTS = 8
_CONNECT_SECONDS, _READ_SECONDS = 10, 60


def state_folder() -> Path:
    """Where local state lives: ``.pathology`` below the working directory, or ``PATHOLOGY_STATE``."""
    return Path(os.environ.get(STATE_VARIABLE, STATE)).resolve()


@dataclass(frozen=True)
class Session:
    """What verbs talk to; ``given`` is what ``--environment`` said."""

    environment: Environment
    sagemaker: Any
    store: Store
    logs: Any
    given: str | None = None

    def in_own_paths(self, text: str) -> str:
        """``text`` as people read it: their own files on this machine by the paths that they gave, not by URI."""
        if not self.environment.local:
            return text
        from pipelines.local.own import with_own_paths

        return with_own_paths(state_folder(), text)


def client(session: Session, service: str, *, tries: int = _MAX_ATTEMPTS, seconds: int = _READ_SECONDS) -> Any:
    """A client of another service than the session has: boto3's, with so many ``tries`` and ``seconds`` for an answer; of this machine
    there is ``sagemaker-runtime`` alone."""
    if session.environment.local:
        from pipelines.local.runtime import LocalRuntime

        assert service == "sagemaker-runtime", f"this machine has no {service}"
        return LocalRuntime(state_folder())
    import boto3

    return boto3.Session(region_name=session.environment.region).client(service, config=_config(tries, seconds))


def _config(tries: int, seconds: int) -> Any:
    from botocore.config import Config

    return Config(
        retries={"mode": "adaptive", "total_max_attempts": tries},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=seconds,
    )


def open_session(env: Environment) -> Session:
    """boto3's clients for AWS, which try every call again after throttling, server faults and time-outs; folders and processes
    for the local environment."""
    if env.local:
        from pipelines.local.client import LocalSageMaker
        from pipelines.local.log_calls import LocalLogs

        sagemaker = LocalSageMaker(state_folder())
        return Session(env, sagemaker, FolderStore(state_folder()), LocalLogs(sagemaker.state))
    import boto3

    config = _config(_MAX_ATTEMPTS, _READ_SECONDS)
    session = boto3.Session(region_name=env.region)
    clients = {name: session.client(name, config=config) for name in ("sagemaker", "s3", "logs")}
    return Session(env, clients["sagemaker"], S3Store(clients["s3"]), clients["logs"])
