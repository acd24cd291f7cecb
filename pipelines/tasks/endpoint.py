"""The section ``endpoint`` of a task's YAML: what python -m pipelines.deploy makes of an approved version."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pathology.contracts.settings import Settings, setting
from pydantic import Field, model_validator

Ami = Literal[
    "al2-ami-sagemaker-inference-gpu-2",
    "al2-ami-sagemaker-inference-gpu-2-1",
    "al2-ami-sagemaker-inference-gpu-3-1",
    "al2023-ami-sagemaker-inference-gpu-4-1",
]
"""CreateEndpointConfig's InferenceAmiVersion, without those for other accelerators."""
AlarmName = Annotated[str, Field(min_length=1, max_length=255)]


class Endpoint(Settings):
    """The endpoint of a version: its hosts, how an update moves traffic to them, what is kept of requests. deploy alone reads it."""

    instance_type: Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")] | None = setting(
        None, "One of register's instance-types; the first of them when left out."
    )
    instance_count: int = setting(1, "Hosts, the least of them where their number follows the load.", ge=1, le=100)
    max_instances: int | None = setting(
        None, "As many hosts as the load asks for, up to this number; none: always instance-count.", ge=1, le=100
    )
    invocations_per_minute: int = setting(
        60, "Requests a minute and host that the number of hosts is kept to, where it follows the load.", ge=1, le=100000
    )
    canary_percent: int = setting(0, "Hosts that an update tries first; 0: all at once. It takes two hosts or more.", ge=0, le=50)
    bake_minutes: int = setting(
        5, "How long an update is watched at each of its stages, the old hosts still standing, before they go.", ge=0, le=60
    )
    errors_alarm: int = setting(
        1, "Answers with 5xx in a minute at which an update is rolled back; 0: no alarm is made.", ge=0, le=100000
    )
    alarms: tuple[AlarmName, ...] = setting((), "Alarms of your own that roll an update back, by name; 9 at most.", max_length=9)
    capture_percent: int = setting(
        0, "Share of requests and answers that is kept in the bucket, below captured/. They hold patients' data.", ge=0, le=100
    )
    download_minutes: int = setting(30, "For a host to fetch the model and the encoder.", ge=1, le=60)
    startup_minutes: int = setting(15, "For the model to answer its first ping.", ge=1, le=60)
    ami: Ami | None = setting(None, "The hosts' system and NVIDIA driver; none: the service's own.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_instances is not None and self.max_instances < self.instance_count:
            raise ValueError(f"max-instances {self.max_instances} is below instance-count {self.instance_count}")
        if self.canary_percent and self.instance_count < 2:
            raise ValueError("canary-percent takes an instance-count of 2 or more: one host cannot be divided")
        return self
