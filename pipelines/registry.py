"""What a pipeline is in the service: create, compare, update. Every call goes to boto3's method names."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError
from pathology.contracts.uris import Uri

from pipelines.builder import Built
from pipelines.session import Session
from steps.environment import Environment

Outcome = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class Upserted:
    """What an upsert did."""

    pipeline: Outcome
    arn: str
    group_created: bool
    uploaded: int


def _message(error: ClientError) -> str:
    return f"{error.response['Error'].get('Code', '')} {error.response['Error'].get('Message', '')}".lower()


def is_missing(error: ClientError) -> bool:
    """Whether the answer means "there is none": AWS declares ResourceNotFound, some answers are ValidationException."""
    text = _message(error)
    return any(words in text for words in ("resourcenotfound", "does not exist", "could not find", "not found", "doesn't exist"))


def is_taken(error: ClientError) -> bool:
    """Whether the answer means "there is one already"; the service has two wordings."""
    text = _message(error)
    return any(words in text for words in ("already exists", "already exist", "must be unique", "resourceinuse"))


def deployed(session: Session, name: str) -> dict[str, Any] | None:
    """The pipeline's description with its definition parsed, or None."""
    try:
        answer: dict[str, Any] = session.sagemaker.describe_pipeline(PipelineName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    answer["Definition"] = json.loads(answer["PipelineDefinition"])
    return answer


def upload_code(session: Session, built: Built) -> int:
    """Put the archives that are not there yet; how many that was."""
    uploaded = 0
    for uri, archive in built.code.items():
        if session.store.entry(Uri.parse(uri)) is None:
            uploaded += session.store.create(Uri.parse(uri), archive)
    return uploaded


def ensure_group(session: Session, built: Built, env: Environment) -> bool:
    """Make the model package group if it is not there; whether this call did."""
    try:
        session.sagemaker.describe_model_package_group(ModelPackageGroupName=built.group)
        return False
    except ClientError as error:
        if not is_missing(error):
            raise
    try:
        session.sagemaker.create_model_package_group(
            ModelPackageGroupName=built.group, ModelPackageGroupDescription=built.description, Tags=env.tag_list
        )
    except ClientError as error:
        if not is_taken(error):
            raise
        return False
    return True


def upsert(session: Session, built: Built, env: Environment, tags: dict[str, str]) -> Upserted:
    """Create the pipeline, or update it if its definition or role changed; code and group first, so that it can run at once."""
    uploaded = upload_code(session, built)
    group_created = ensure_group(session, built, env)
    request = {
        "PipelineName": built.name,
        "PipelineDefinition": built.text,
        "PipelineDescription": built.description,
        "RoleArn": env.pipeline_role,
    }
    all_tags = [{"Key": key, "Value": value} for key, value in sorted({**env.tags, "task": built.task, **tags}.items())]
    now = deployed(session, built.name)
    if now is None:
        with contextlib.suppress(_AlreadyThereError):
            arn = _create(session, {**request, "Tags": all_tags})
            return Upserted("created", arn, group_created, uploaded)
        now = deployed(session, built.name)
    if now is not None and now["Definition"] == built.definition and now.get("RoleArn") == env.pipeline_role:
        return Upserted("unchanged", now["PipelineArn"], group_created, uploaded)
    arn = session.sagemaker.update_pipeline(**request)["PipelineArn"]
    session.sagemaker.add_tags(ResourceArn=arn, Tags=all_tags)
    return Upserted("updated", arn, group_created, uploaded)


class _AlreadyThereError(Exception):
    """Somebody else created the pipeline between our look and our call."""


def _create(session: Session, request: dict[str, Any]) -> str:
    try:
        return str(session.sagemaker.create_pipeline(**request)["PipelineArn"])
    except ClientError as error:
        if is_taken(error):
            raise _AlreadyThereError from None
        raise
