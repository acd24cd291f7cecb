"""Keys for volumes, which instances that store on their own disk do not take: with what a run chooses, too."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.checks.expressions import UnknownValueError, all_steps, known
from steps.environment import has_local_storage
from steps.shapes import Definition, ParameterValues


def volume_problems(definition: Definition, parameters: ParameterValues) -> Iterator[tuple[str, str]]:
    """Pairs of step and fault, with these parameters."""
    for step in all_steps(definition):
        arguments = step.get("Arguments", {})
        cluster = arguments.get("ResourceConfig") or arguments.get("ProcessingResources", {}).get("ClusterConfig") or {}
        if "VolumeKmsKeyId" not in cluster:
            continue
        try:
            kind = str(known(cluster.get("InstanceType"), parameters))
        except UnknownValueError:
            continue
        if has_local_storage(kind):
            yield (
                step["Name"],
                (
                    f"{kind} stores on its own encrypted disk, for which the service takes no VolumeKmsKeyId: "
                    "choose it in the task's YAML and upsert, which leaves the key out, or take another type"
                ),
            )
