"""The step that copies to EFS what training reads, where training reads EFS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pathology.contracts.errors import RequestError
from pathology.contracts.staging import Stage

from pipelines.graphs.parameters import RunParameters
from pipelines.tasks.sections import Task
from steps.environment import Environment
from steps.jobs import Job, training
from steps.placement import Mount


def stage(
    name: str,
    task: Task,
    env: Environment,
    run: RunParameters,
    staging: Any,
    encoder: Any,
    train: Mapping[str, str],
    in_s3: tuple[str, str],
    copies: str,
) -> Job | None:
    """The step ``name``, which copies the files of ``staging``, a folder with staging.csv, and the encoder, whose manifest is in the
    folder ``encoder``; None where training reads S3.

    ``train`` are the two keys of the YAML's ``train`` that say where it reads data and models; ``in_s3`` is where the data have to be
    where that is S3, and a word on why; the models are the encoder's own folder then. ``copies`` are what staging.csv names.

    Raises:
        RequestError: for a mixture, another place in S3, a part of a file system's folder, or no resources for the step.
    """
    if not _trains_on_efs(name, task, train, (in_s3, (task.encoder.weights, "the encoder"))):
        return None
    assert task.stage is not None
    data, models = train.values()
    return training(
        name,
        env,
        "stage",
        task.stage.resources,
        channels={
            "staging": staging,
            "encoder": encoder,
            "data_destination": Mount(data, "rw"),
            "models_destination": Mount(models, "rw"),
        },
        hyperparameters=run.hyperparameters(Stage, encoder=run["EncoderUri"]),
        cached=False,
        description=f"Copies what changed from S3 to EFS: {copies}, and the encoder.",
    )


def _trains_on_efs(step: str, task: Task, train: Mapping[str, str], in_s3: Sequence[tuple[str, str]]) -> bool:
    on_efs = {uri.startswith("efs://") for uri in train.values()}
    if on_efs == {False}:
        for (key, uri), (wanted, what) in zip(train.items(), in_s3, strict=True):
            if uri != wanted:
                raise RequestError(f"train.{key}: {uri}: training from S3 reads {what}, {wanted}")
        return False
    names = " and ".join(f"train.{key}" for key in train)
    if on_efs != {True}:
        raise RequestError(f"{names}: put both on efs:// or both on s3://")
    if task.stage is None:
        raise RequestError(f"stage: missing, and {names} are on efs://: say what {step} runs on")
    for uri in train.values():
        Mount(uri).check_whole()
    return True
