"""Volumes: keys, which instances that store on their own disk do not take, and sizes. With what a run chooses, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.checks.expressions import UnknownValueError, all_steps, known
from steps.environment import has_local_storage
from steps.shapes import Definition, ParameterValues

QUOTA_GB = {"Processing": 1024, "Training": 16_384}
"""Processing: the quota that an account begins with, "Size of EBS volume for a processing job instance"
(https://github.com/aws/sagemaker-python-sdk/issues/4939). Training: the largest volume that EBS has of the service's type, gp2."""
SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge")
OWN_DISKS: dict[str, tuple[int, ...]] = {
    "g4dn": (125, 225, 225, 900, 900, 900),
    "g5": (250, 450, 600, 900, 3800, 1900, 3800, 7600),
    "g6": (250, 450, 600, 900, 3760, 1880, 3760, 7520),
    "g6e": (250, 450, 600, 900, 3800, 1900, 3800, 7600),
}
"""GB of an instance's own disks, by EC2's table of instance store volumes
(https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html). Families that are not here are held against the quota alone."""


def volume_problems(definition: Definition, parameters: ParameterValues) -> Iterator[tuple[str, str]]:
    """Pairs of step and fault, with these parameters."""
    for step in all_steps(definition):
        arguments = step.get("Arguments", {})
        cluster = arguments.get("ResourceConfig") or arguments.get("ProcessingResources", {}).get("ClusterConfig") or {}
        try:
            kind = str(known(cluster.get("InstanceType"), parameters))
        except UnknownValueError:
            continue
        if "VolumeKmsKeyId" in cluster and has_local_storage(kind):
            yield (
                step["Name"],
                (
                    f"{kind} stores on its own encrypted disk, for which the service takes no VolumeKmsKeyId: "
                    "choose it in the task's YAML and upsert, which leaves the key out, or take another type"
                ),
            )
        if cluster:
            yield from ((step["Name"], fault) for fault in _size(step["Type"], kind, cluster.get("VolumeSizeInGB")))


def own_disk_gb(instance_type: str) -> int | None:
    """What an instance has of its own disks, None where that is not known or it has none."""
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    return dict(zip(SIZES, OWN_DISKS.get(family, ()), strict=False)).get(size)


def _size(step_type: str, kind: str, size: Any) -> Iterator[str]:
    if not isinstance(size, int):
        return
    disk, quota = own_disk_gb(kind), QUOTA_GB[step_type]
    if disk is not None and size > disk:
        yield f"a volume of {size} GB, and {kind} has {disk} GB of its own and takes no more: ask for less, or a larger type"
    elif disk is None and size > quota:
        yield f"a volume of {size} GB, over the {quota} GB that an account may have a {step_type} instance: ask for less"
    elif size < 1:
        yield f"a volume of {size} GB: it should have 1 GB at least"
