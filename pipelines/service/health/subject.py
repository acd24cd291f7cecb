"""What is checked: an environment, and of each task its settings and the jobs of its definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError
from pathology.contracts.storage import Store

from pipelines.checks.expressions import all_steps, known
from pipelines.tasks.sections import Task
from steps.environment import Environment
from steps.shapes import Definition

SERVICES = ("sts", "iam", "s3", "kms", "ecr", "ec2", "efs", "sagemaker", "service-quotas")
_ATTEMPTS, _CONNECT_SECONDS, _READ_SECONDS = 3, 5, 20


@dataclass(frozen=True)
class JobNeed:
    """What one job of a pipeline asks of an account, with the pipeline's parameters at their defaults.

    ``mounts`` are file systems with the directory that is mounted.
    """

    step: str
    kind: Literal["processing", "training"]
    instance_type: str
    instance_count: int
    spot: bool
    mounts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Subject:
    """``clients`` are boto3's by service, none for the local environment; tasks and jobs by the task's name."""

    environment: Environment
    clients: Mapping[str, Any]
    store: Store
    tasks: Mapping[str, Task]
    jobs: Mapping[str, tuple[JobNeed, ...]]

    @property
    def all_jobs(self) -> list[JobNeed]:
        """The jobs of every task."""
        return [job for jobs in self.jobs.values() for job in jobs]

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """Every file system and directory that a job mounts, once."""
        return sorted({mount for job in self.all_jobs for mount in job.mounts})


def open_clients(region: str) -> dict[str, Any]:
    """boto3's clients, which give up early: health checks that wait for minutes help nobody."""
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
    )
    session = boto3.Session(region_name=region)
    return {service: session.client(service, config=config) for service in SERVICES}


def job_needs(definition: Definition) -> Iterator[JobNeed]:
    """The Processing and Training jobs of a definition."""
    defaults = {item["Name"]: item.get("DefaultValue") for item in definition["Parameters"]}
    for step in all_steps(definition):
        arguments = step.get("Arguments", {})
        if step["Type"] == "Processing":
            cluster, kind = arguments["ProcessingResources"]["ClusterConfig"], "processing"
        elif step["Type"] == "Training":
            cluster, kind = arguments["ResourceConfig"], "training"
        else:
            continue
        sources = (channel["DataSource"].get("FileSystemDataSource") for channel in arguments.get("InputDataConfig", []))
        yield JobNeed(
            step["Name"],
            "processing" if kind == "processing" else "training",
            str(known(cluster["InstanceType"], defaults)),
            int(known(cluster["InstanceCount"], defaults)),
            bool(arguments.get("EnableManagedSpotTraining", False)),
            tuple((source["FileSystemId"], source["DirectoryPath"]) for source in sources if source),
        )


def code_of(error: ClientError) -> str:
    """AWS's name of an error."""
    return str(error.response["Error"].get("Code", ""))
