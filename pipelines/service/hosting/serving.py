"""The endpoint that a person asks: in service, of their task, and in which form it answers."""

from __future__ import annotations

import sys
from typing import NamedTuple

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.media import GEOJSON, JSON
from pathology.contracts.refusals import is_missing

from pipelines.service.hosting.standing import IN_SERVICE, require_ours, standing
from pipelines.service.results import MODEL_VERSION
from pipelines.service.session import Session
from pipelines.tasks import task_spec


class InService(NamedTuple):
    """An endpoint's name, and the model that answers as ``model_version``; None where its version does not say, or is gone."""

    name: str
    model: str | None


def in_service(session: Session, task: str, name: str) -> InService:
    """The endpoint of this name; which version answers, and that nobody approved it, are said on standard error.

    Raises:
        RequestError: when there is none, it is another task's, or it does not answer.
    """
    found = standing(session, name)
    if found is None:
        raise RequestError(
            f"{session.environment.name} has no endpoint {name}: python -m pipelines.deploy --task {task} makes it"
        )
    require_ours(found, task)
    if found.status not in (IN_SERVICE, "Updating", "SystemUpdating", "RollingBack"):
        reason = f" ({found.reason})" if found.reason else ""
        raise RequestError(f"endpoint {name} is {found.status}{reason}, and answers nobody")
    print(f"endpoint {name}, version {found.number} of {task}", file=sys.stderr)
    if found.unapproved:
        print(f"warning: nobody approved version {found.number}: {found.unapproved}", file=sys.stderr)
    return InService(name, _model(session, str(found.version)))


def _model(session: Session, version: str) -> str | None:
    try:
        described = session.sagemaker.describe_model_package(ModelPackageName=version)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    model: str | None = (described.get("CustomerMetadataProperties") or {}).get(MODEL_VERSION)
    return model


def content_type(task: str, form: str | None) -> str:
    """What answers are asked for in: ``form``, else as the task usually answers.

    Raises:
        RequestError: for a form that the task has not.
    """
    answers = task_spec(task).hosted.answers
    if form is None:
        return answers[0]
    chosen = {"json": JSON, "geojson": GEOJSON}[form]
    if chosen not in answers:
        raise RequestError(f"--format {form}: an endpoint of {task} answers {', '.join(answers)}")
    return chosen
