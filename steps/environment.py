"""Where a pipeline runs and what its jobs get, as data: account, roles, storage, network, images, instances, registry."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pathology.contracts.errors import RequestError
from pathology.contracts.settings import Settings, setting
from pathology.contracts.uris import Uri
from pydantic import AfterValidator, Field, model_validator

_LOCAL_STORAGE = re.compile(r"g4dn|g5|g6e?|gr6|p3dn|p4de?|p5e?n?|p6.*|trn\d.*|[cmr]\d+[a-z]*d[a-z]*")
_DIGEST = re.compile(r"[\w./:-]{1,180}@sha256:[0-9a-f]{64}")


def _by_digest(image: str) -> str:
    if not _DIGEST.fullmatch(image):
        raise ValueError("name the image by digest, repository@sha256:…; a tag such as :latest can change under a cached step")
    return image


Image = Annotated[str, AfterValidator(_by_digest)]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]


class Images(Settings):
    """The project's two images, as ``build_and_push.sh`` prints them."""

    cucim_tiler: Image
    training: Image


class Network(Settings):
    """Private subnets and security groups of every job; EFS channels need them."""

    subnets: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)]
    security_groups: Annotated[tuple[str, ...], Field(min_length=1, max_length=5)]


MAX_TAGS = 46
"""The service takes 50 on a resource; a deployment adds four of its own: task, version, who, and that nobody approved it."""


class Environment(Settings):
    """One place to run in. ``local`` marks the one that is folders and processes on this machine.

    ``pipeline_role`` is assumed by pipelines, ``job_role`` by their jobs. ``tags`` go on every resource made.
    ``defaults`` are values by task and parameter that the local environment has in place of the task's YAML.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    local: bool = False
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    pipeline_role: RoleArn
    job_role: RoleArn
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    file_system: Annotated[str, Field(pattern=r"^fs-[0-9a-f]{8,17}$")]
    network: Network
    images: Images
    kms_key: str | None = None
    tags: Annotated[dict[str, str], Field(max_length=MAX_TAGS)] = Field(default_factory=dict)
    defaults: dict[str, dict[str, str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _only_local_has_defaults(self) -> Self:
        if self.defaults and not self.local:
            raise ValueError("defaults: write them into pipeline_definitions/<task>.yaml")
        return self

    def expand_uri(self, text: str) -> str:
        """Fill ``{bucket}`` and ``{file_system}`` in a URI.

        Raises:
            RequestError: for another placeholder or a result that is not a valid URI.
        """
        try:
            filled = text.format(bucket=self.bucket, file_system=self.file_system)
        except (KeyError, IndexError, ValueError):
            raise RequestError(f"{text!r}: only {{bucket}} and {{file_system}} can stand in braces") from None
        return str(Uri.parse(filled))

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """Tags as the service takes them, sorted."""
        return [{"Key": key, "Value": value} for key, value in sorted(self.tags.items())]


RunAs = Literal["processing", "training"]


class Resources(Settings):
    """What one job gets. Volume, run time and spot are fixed when a pipeline is built; the service takes no variables there."""

    instance_type: Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")]
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 30
    max_runtime_minutes: Annotated[int, Field(ge=1, le=7200)] = 60


class TrainingResources(Resources):
    """As Resources; ``spot`` trains on spare capacity, with checkpoints in S3, and waits ``max_wait_minutes`` in all."""

    spot: bool = False
    max_wait_minutes: Annotated[int, Field(ge=1, le=40320)] = 1440


def has_local_storage(instance_type: str) -> bool:
    """Whether an instance's volume is its own NVMe disk, which its hardware encrypts and for which the service takes no key.

    Of the types that SageMaker runs jobs on, by EC2's table of instance store volumes.
    """
    return bool(_LOCAL_STORAGE.fullmatch(instance_type.split(".")[1]))


class Registration(Settings):
    """The group that versions go into, and where they may be deployed."""

    group: str = setting(..., "Model package group, which upsert makes.", pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")
    instance_types: tuple[str, ...] = setting(..., "Instance types that a version may be deployed on.", min_length=1)
