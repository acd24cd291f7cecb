"""What executions came to, for a list of them: score, gate and version, by four calls an execution at most, side by side.

ListPipelineExecutionSteps; DescribeModelPackage of the version that it registered; where there is none, or one that names no evaluation,
DescribeProcessingJob of its Evaluate step; and evaluation.json, which executions that the cache answered share.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pathology.contracts.errors import PathologyError
from pathology.contracts.evaluation import EVALUATION
from pathology.contracts.refusals import is_missing
from pathology.contracts.uris import Uri

from pipelines.service.errors import explain
from pipelines.service.executions import DAMAGED, ExecutionState
from pipelines.service.paging import paginate
from pipelines.service.results import outputs_of
from pipelines.service.session import Session
from pipelines.service.version import Version, headline_of, read_evaluation_at
from steps.shapes import Answer

AT_ONCE = 8
"""Executions that are asked for side by side; botocore keeps ten connections."""
EVALUATE = "Evaluate"
"""How the names of the steps begin that evaluate."""
_UNREADABLE = (ClientError, BotoCoreError, PathologyError, OSError, ValueError)


@dataclass(frozen=True)
class Outcome:
    """``number`` and ``version`` are of the version that it registered, the latter None of one that was ``deleted``; ``passed`` is what
    its gate found, None where it was not asked. ``evaluation`` is None where there is none, and ``trouble`` what could not be read."""

    number: int | None = None
    version: Version | None = None
    deleted: bool = False
    passed: bool | None = None
    evaluation_uri: str | None = None
    evaluation: dict[str, Any] | None = None
    trouble: str | None = None

    @property
    def block(self) -> dict[str, Any]:
        """evaluation.json's ``pathology``; empty without one."""
        block = (self.evaluation or {}).get("pathology")
        return block if isinstance(block, dict) else {}

    @property
    def headline(self) -> tuple[str, dict[str, Any]] | None:
        """The name of the task's first score and its estimate."""
        return headline_of(self.block)

    @property
    def words(self) -> str:
        """The version, or why there is none."""
        if self.number is None:
            return "gate refused" if self.passed is False else ""
        if self.deleted:
            return f"{self.number}, deleted"
        same = self.version.same_as if self.version else None
        return f"{self.number}" if same is None else f"{self.number}, same as {same}"

    def as_json(self) -> dict[str, Any]:
        """For ``--json``, beside the execution's own fields."""
        headline = self.headline
        version = self.version
        return {
            "score": {"name": headline[0], **headline[1], "confidence": self.block.get("confidence")} if headline else None,
            "gate_passed": self.passed,
            "version": self.number,
            "version_deleted": self.deleted,
            "version_status": version.status if version else None,
            "same_as": version.same_as if version else None,
            "outcome_missing": self.trouble,
        }


def outcomes(session: Session, states: Sequence[ExecutionState]) -> list[Outcome]:
    """What each execution came to; what cannot be read is said of that one and hides no other."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda state: _found(session, state), states))
        uris = list(dict.fromkeys(one.evaluation_uri for one in found if one.evaluation_uri))
        read = dict(zip(uris, pool.map(lambda uri: _read(session, uri), uris), strict=True))
    return [_with_evaluation(one, *read[one.evaluation_uri]) if one.evaluation_uri else one for one in found]


def _read(session: Session, uri: str) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return read_evaluation_at(session, uri)
    except _UNREADABLE as error:
        return None, _words(error)


def _words(error: Exception) -> str:
    return explain(error) if isinstance(error, ClientError | BotoCoreError) else str(error)


def _with_evaluation(one: Outcome, evaluation: dict[str, Any] | None, trouble: str | None) -> Outcome:
    return replace(one, evaluation=evaluation, trouble=one.trouble or trouble)


def _found(session: Session, state: ExecutionState) -> Outcome:
    """All but the evaluation."""
    if state.status == DAMAGED:
        return Outcome()
    found = Outcome()
    try:
        call = session.sagemaker.list_pipeline_execution_steps
        steps = list(paginate(call, "PipelineExecutionSteps", PipelineExecutionArn=state.arn, SortOrder="Ascending"))
        found = Outcome(passed=_passed(steps))
        for arn in _registered(steps):
            found = replace(found, number=int(arn.rpartition("/")[2]))
            version = _version(session, arn)
            found = replace(found, version=version, deleted=version is None)
        uri = found.version.evaluation_uri if found.version else None
        return replace(found, evaluation_uri=uri or _evaluated(session, steps))
    except _UNREADABLE as error:
        return replace(found, trouble=f"execution {state.identity}: {_words(error)}")


def _passed(steps: Sequence[Answer]) -> bool | None:
    outcomes = [step["Metadata"]["Condition"].get("Outcome") for step in steps if "Condition" in step.get("Metadata", {})]
    return None if not outcomes or outcomes[-1] not in ("True", "False") else outcomes[-1] == "True"


def _registered(steps: Sequence[Answer]) -> list[str]:
    """The ARN of the version that was, if any."""
    made = [step["Metadata"].get("RegisterModel", {}).get("Arn") for step in steps if "Metadata" in step]
    return [arn for arn in made if arn][-1:]


def _version(session: Session, arn: str) -> Version | None:
    try:
        return Version(dict(session.sagemaker.describe_model_package(ModelPackageName=arn)), None, None)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _evaluated(session: Session, steps: Sequence[Answer]) -> str | None:
    """The URI of evaluation.json, as the Evaluate step's job says; None before it has succeeded."""
    for step in reversed(steps):
        job = step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn")
        if job and step["StepStatus"] == "Succeeded" and step["StepName"].startswith(EVALUATE):
            described = session.sagemaker.describe_processing_job(ProcessingJobName=job.rpartition("/")[2])
            uri = outputs_of(described).get("evaluation")
            return str(Uri.parse(uri) / EVALUATION) if uri else None
    return None
