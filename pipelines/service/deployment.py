"""What a pipeline is in the service: create, compare, update, delete. Every call goes to boto3's method names."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.refusals import is_conflict, is_missing
from pathology.contracts.uris import Uri

from pipelines.service.errors import is_taken
from pipelines.service.session import Session
from steps.shapes import Definition, Request

if TYPE_CHECKING:
    from pipelines.builder import CompiledPipeline  # at run time that imports the SDK, which verbs that only read do without

Outcome = Literal["created", "updated", "unchanged"]
MAX_INLINE_BYTES = 100 * 1024
"""A longer definition goes through S3, as in the SDK (sagemaker.mlops.workflow.pipeline, 3.27); the service takes 1 MiB in all."""
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each Describe of a pipeline that others change at the same time."""


class DeployedPipeline(TypedDict, total=False):
    """DescribePipeline's answer, with its ``PipelineDefinition`` parsed as ``Definition``:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribePipeline.html."""

    PipelineName: str
    PipelineArn: str
    PipelineDefinition: str
    Definition: Definition
    RoleArn: str


@dataclass(frozen=True)
class Upserted:
    """What an upsert did."""

    pipeline: Outcome
    arn: str
    group_created: bool
    uploaded: int


def deployed(session: Session, name: str) -> DeployedPipeline | None:
    """The pipeline's description with its definition parsed, or None."""
    try:
        answer: DeployedPipeline = session.sagemaker.describe_pipeline(PipelineName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    answer["Definition"] = json.loads(answer["PipelineDefinition"])
    return answer


def require(session: Session, name: str, task: str) -> DeployedPipeline:
    """The pipeline's description.

    Raises:
        RequestError: when there is none.
    """
    pipeline = deployed(session, name)
    if pipeline is None:
        where = session.environment.name
        raise RequestError(f"{where} has no pipeline {name}: run python -m pipelines.upsert --task {task} first")
    return pipeline


def upload_code(session: Session, compiled: CompiledPipeline) -> int:
    """Put the archives that are not there yet, a call each; how many that was."""
    return sum(session.store.create(Uri.parse(uri), archive) for uri, archive in compiled.code.items())


def ensure_group(session: Session, compiled: CompiledPipeline) -> bool:
    """Make the model package group, of a pipeline that registers in one, if it is not there; whether this call did."""
    if compiled.group is None:
        return False
    try:
        session.sagemaker.describe_model_package_group(ModelPackageGroupName=compiled.group)
        return False
    except ClientError as error:
        if not is_missing(error):
            raise
    try:
        session.sagemaker.create_model_package_group(
            ModelPackageGroupName=compiled.group,
            ModelPackageGroupDescription=compiled.description,
            Tags=session.environment.tag_list,
        )
    except ClientError as error:
        if not is_taken(error):
            raise
        return False
    return True


def upsert(session: Session, compiled: CompiledPipeline, tags: dict[str, str]) -> Upserted:
    """Create the pipeline, or update it if its definition or role changed; code and group first, so that it can run at once.

    Of any number of callers at once one creates; the others find what they wanted, or put theirs in its place.

    Raises:
        RequestError: when the pipeline keeps changing under this call.
    """
    uploaded = upload_code(session, compiled)
    group_created = ensure_group(session, compiled)
    env = session.environment
    all_tags = [{"Key": key, "Value": value} for key, value in sorted({**env.tags, "task": compiled.task, **tags}.items())]
    for pause in _PAUSES:
        time.sleep(pause)
        now = deployed(session, compiled.name)
        if now is not None and now["Definition"] == compiled.definition and now.get("RoleArn") == env.pipeline_role:
            return Upserted("unchanged", now["PipelineArn"], group_created, uploaded)
        try:
            if now is None:
                arn = session.sagemaker.create_pipeline(**_request(session, compiled), Tags=all_tags)["PipelineArn"]
                return Upserted("created", arn, group_created, uploaded)
            arn = session.sagemaker.update_pipeline(**_request(session, compiled))["PipelineArn"]
        except ClientError as error:
            if not (is_conflict(error) or (is_taken(error) if now is None else is_missing(error))):
                raise
            continue
        session.sagemaker.add_tags(ResourceArn=arn, Tags=all_tags)
        return Upserted("updated", arn, group_created, uploaded)
    raise RequestError(f"pipeline {compiled.name} was changed by others at every try: find out who, then run this again")


def _request(session: Session, compiled: CompiledPipeline) -> Request:
    request: Request = {
        "PipelineName": compiled.name,
        "PipelineDescription": compiled.description,
        "RoleArn": session.environment.pipeline_role,
    }
    content = compiled.text.encode()
    if len(content) < MAX_INLINE_BYTES:
        return {**request, "PipelineDefinition": compiled.text}
    key = f"pipeline-definitions/{compiled.name}/{hashlib.sha256(content).hexdigest()[:16]}.json"
    session.store.create(Uri("s3", session.environment.bucket, key), content)
    return {**request, "PipelineDefinitionS3Location": {"Bucket": session.environment.bucket, "ObjectKey": key}}
