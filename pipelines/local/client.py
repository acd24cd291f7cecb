"""An object with boto3's SageMaker method names, whose account is a folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from botocore.exceptions import ClientError

from pipelines.local.endpoint_calls import EndpointCalls
from pipelines.local.execution_calls import ExecutionCalls
from pipelines.local.job_calls import JobCalls
from pipelines.local.registry_calls import RegistryCalls
from pipelines.local.state import State
from pipelines.local.tag_calls import TagCalls


class LocalSageMaker(EndpointCalls, ExecutionCalls, JobCalls, RegistryCalls, TagCalls):
    """Pipelines, executions, jobs, model packages and endpoints below ``root``; arguments, answers and errors as boto3's."""

    exceptions = SimpleNamespace(ClientError=ClientError)
    """As a client of boto3 has them, for who cannot import botocore."""

    def __init__(self, root: Path) -> None:
        super().__init__(State(Path(root).absolute()))
