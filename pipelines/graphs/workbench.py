"""Whether a task trains on EFS, after a step that stages its data there, or reads S3 as it is."""

from __future__ import annotations

from collections.abc import Mapping

from pathology.contracts.errors import RequestError

from pipelines.tasks.common import Task
from steps.placement import Mount


def trains_on_efs(task: Task, step: str, own: Mapping[str, str], in_s3: Mapping[str, tuple[str, str]]) -> bool:
    """Whether ``step`` has to stage what training reads.

    ``own`` are the keys of the YAML's ``train`` and where it says to read; ``in_s3`` what each has to be where that is S3, and a
    word on why.

    Raises:
        RequestError: for a mixture, another place in S3, a part of a file system's folder, or no resources for ``step``.
    """
    on_efs = {uri.startswith("efs://") for uri in own.values()}
    if on_efs == {False}:
        for key, uri in own.items():
            wanted, said = in_s3[key]
            if uri != wanted:
                raise RequestError(f"train.{key}: {uri}: training from S3 reads {said}, {wanted}")
        return False
    names = " and ".join(f"train.{key}" for key in own)
    if on_efs != {True}:
        raise RequestError(f"{names}: put both on efs:// or both on s3://")
    if task.stage is None:
        raise RequestError(f"stage: missing, and {names} are on efs://: say what {step} runs on")
    for uri in own.values():
        Mount(uri).check_whole()
    return True
