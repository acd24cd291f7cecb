"""What a person names by one word: a model version, or an execution."""

from __future__ import annotations

import re

from pathology.contracts.errors import RequestError

from pipelines.config import pipeline_name
from pipelines.service import executions
from pipelines.service.session import Session
from pipelines.service.uses import EXECUTION_ID
from pipelines.service.version import Version
from pipelines.service.versions import APPROVED, LATEST, find

NAMES = "a version's number or ARN, latest, approved, or an execution's id or ARN."
_VERSION_ARN, _EXECUTION_ARN = ":model-package/", re.compile(r"arn:[^:]+:sagemaker:[^:]*:[^:]*:pipeline/([^/]+)/execution/[^/]+")


def version_or_execution(session: Session, task: str, given: str, kind: str) -> Version | str:
    """The version that is named by number, ARN, ``latest`` or ``approved``, or the ARN of the execution that is by id or ARN.

    Raises:
        RequestError: when it is neither, there is no such version, or it is another task's.
    """
    if given in (LATEST, APPROVED) or _VERSION_ARN in given or (given.isdecimal() and len(given) < 10):
        return find(session, task, given, kind)
    arn = _EXECUTION_ARN.fullmatch(given)
    if arn is None and not EXECUTION_ID.fullmatch(given):
        raise RequestError(
            f"{given!r} is no version and no execution: give a version's number or ARN, {LATEST} or {APPROVED}, or an execution's id or ARN"
        )
    if arn is not None and arn[1].lower() != (ours := pipeline_name(task, kind=kind)).lower():
        raise RequestError(f"{given} is an execution of {arn[1]}, and --task {task} has the pipeline {ours}")
    return executions.find(session, task, given, kind)
