"""Finding an execution by what a person types, and what there is to say of it and of its steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.refusals import is_missing

from pipelines.config import pipeline_name
from pipelines.service.deployment import deployed
from pipelines.service.errors import own_words
from pipelines.service.job_logs import log_location
from pipelines.service.paging import paginate
from pipelines.service.session import Session
from pipelines.tasks import TRAIN

LATEST = "latest"
DAMAGED = "Damaged"
"""The status in lists of an execution of this machine whose record cannot be read; AWS has none."""
_MAX_PAGE_SIZE = 100
ENDED = frozenset({"Succeeded", "CompletedWithFailures", "Failed", "Stopped"})
_EXIT_CODES = {"Succeeded": 0, "Stopped": 3}
_FAILED = 1
JOBS = ("ProcessingJob", "TrainingJob")


@dataclass(frozen=True)
class Progress:
    """How far a running step is, pairs of so many and of how many: slides that are done, the fold that is trained, epochs of it that
    are. None is what its log does not tell."""

    slides: tuple[int, int] | None = None
    fold: tuple[int, int] | None = None
    epoch: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.slides:
            return f"{self.slides[0]} of {self.slides[1]} slides"
        pairs = (("fold", self.fold), ("epoch", self.epoch))
        return ", ".join(f"{name} {pair[0]} of {pair[1]}" for name, pair in pairs if pair)

    @property
    def fraction(self) -> float:
        """Of the work, as far as these say."""
        if self.slides:
            return self.slides[0] / max(1, self.slides[1])
        epochs = self.epoch[0] / max(1, self.epoch[1]) if self.epoch else 0.0
        return (self.fold[0] - 1 + epochs) / max(1, self.fold[1]) if self.fold else epochs


@dataclass(frozen=True)
class StepState:
    """A step that has started. ``seconds`` run so far or in all; ``reason`` is why it failed, in the job's own words, or what it
    came to; ``job`` is its job's ARN and ``log`` where that job's log is to be read, both None for a step without a job; ``reused``
    is the execution that a selective execution took the step from, ``model_package`` the version that it registered; ``progress``
    is of a running step that somebody follows."""

    step: str
    status: str
    started: datetime | None
    ended: datetime | None
    seconds: float
    attempts: int
    cached: bool
    reused: str | None
    reason: str
    job: str | None
    log: str | None
    model_package: str | None
    progress: Progress | None = None


@dataclass(frozen=True)
class ExecutionState:
    """An execution as it stands: ``ended`` and ``reason`` are None until there is one."""

    arn: str
    name: str
    status: str
    started: datetime
    ended: datetime | None
    seconds: float | None
    reason: str | None
    steps: tuple[StepState, ...] = ()

    @property
    def identity(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def over(self) -> bool:
        """Whether it has come to one of its ends."""
        return self.status in ENDED

    @property
    def exit_code(self) -> int:
        """0 succeeded, 1 failed, 3 stopped."""
        return _EXIT_CODES.get(self.status, _FAILED)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``: every field, times in ISO 8601."""
        return {"id": self.identity, **asdict(self)}


def recent(session: Session, task: str, limit: int, kind: str = TRAIN) -> list[ExecutionState]:
    """A pipeline's latest executions, newest first, without their steps; when they ended the service does not list.

    Raises:
        RequestError: when there is no such pipeline.
    """
    return list(islice(_listed(session, task, kind, min(limit, _MAX_PAGE_SIZE)), limit))


def _listed(session: Session, task: str, kind: str, page_size: int = 1) -> Iterator[ExecutionState]:
    name = pipeline_name(task, kind=kind)
    summaries = paginate(
        session.sagemaker.list_pipeline_executions,
        "PipelineExecutionSummaries",
        PipelineName=name,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=page_size,
    )
    try:
        for item in summaries:
            yield _summarised(session, item)
    except ClientError as error:
        if is_missing(error):
            raise RequestError(f"{session.environment.name} has no pipeline {name}") from None
        raise


def _summarised(session: Session, item: dict[str, Any]) -> ExecutionState:
    return ExecutionState(
        arn=item["PipelineExecutionArn"],
        name=item.get("PipelineExecutionDisplayName", ""),
        status=item["PipelineExecutionStatus"],
        started=item["StartTime"],
        ended=None,
        seconds=None,
        reason=_for_people(session, item.get("PipelineExecutionFailureReason")),
    )


def _for_people(session: Session, reason: str | None) -> str | None:
    return session.in_own_paths(own_words(reason)) if reason else reason


def _latest(session: Session, task: str, kind: str) -> str:
    """The ARN of the latest execution that can be read; that others are passed over is said."""
    for state in _listed(session, task, kind):
        if state.status != DAMAGED:
            return state.arn
        print(f"execution {state.identity} is damaged and passed over: {state.reason}", file=sys.stderr)
    raise RequestError(f"{task} has no execution yet: run python -m pipelines.start --task {task}")


def find(session: Session, task: str | None, given: str, kind: str = TRAIN) -> str:
    """The ARN of the execution that ``given`` names: an ARN, an id, or ``latest`` of the task's pipeline of a kind.

    Raises:
        RequestError: when it needs a task, or there is none.
    """
    if given.startswith("arn:"):
        return given
    if task is None:
        raise RequestError(f"execution {given}: say --task too, or give the whole ARN")
    if given == LATEST:
        return _latest(session, task, kind)
    name = pipeline_name(task, kind=kind)
    pipeline = deployed(session, name)
    if pipeline is None:
        raise RequestError(f"{session.environment.name} has no pipeline {name}")
    return f"{pipeline['PipelineArn']}/execution/{given}"


def describe(session: Session, arn: str) -> dict[str, Any]:
    """DescribePipelineExecution's answer.

    Raises:
        RequestError: when there is no such execution.
    """
    try:
        return dict(session.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn))
    except ClientError as error:
        if is_missing(error):
            raise RequestError(f"{session.environment.name} has no execution {arn}") from None
        raise


def get_state(session: Session, arn: str) -> ExecutionState:
    """The execution and every step that has started, oldest first."""
    execution = describe(session, arn)
    steps = paginate(
        session.sagemaker.list_pipeline_execution_steps, "PipelineExecutionSteps", PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    started, over = execution["CreationTime"], execution["PipelineExecutionStatus"] in ENDED
    ended = execution["LastModifiedTime"] if over else None
    return ExecutionState(
        arn=arn,
        name=execution.get("PipelineExecutionDisplayName", ""),
        status=execution["PipelineExecutionStatus"],
        started=started,
        ended=ended,
        seconds=_seconds(started, ended),
        reason=_for_people(session, execution.get("FailureReason")),
        steps=tuple(_step(session, step) for step in steps),
    )


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return round(((end or datetime.now(UTC)) - start).total_seconds(), 1) if start else 0.0


def _step(session: Session, step: dict[str, Any]) -> StepState:
    job = next((step["Metadata"][kind]["Arn"] for kind in JOBS if kind in step.get("Metadata", {})), None)
    return StepState(
        step=step["StepName"],
        status=step["StepStatus"],
        started=step.get("StartTime"),
        ended=step.get("EndTime"),
        seconds=_seconds(step.get("StartTime"), step.get("EndTime")),
        attempts=max(1, step.get("AttemptCount") or 1),
        cached="CacheHitResult" in step,
        reused=step.get("SelectiveExecutionResult", {}).get("SourcePipelineExecutionArn"),
        reason=_for_people(session, _reason(step)) or "",
        job=job,
        log=log_location(session, job) if job else None,
        model_package=step.get("Metadata", {}).get("RegisterModel", {}).get("Arn"),
    )


def _reason(step: dict[str, Any]) -> str:
    """What a person wants to know beside the status: why it failed, which way a condition went, what was registered."""
    metadata = step.get("Metadata", {})
    if step.get("FailureReason"):
        return str(step["FailureReason"])
    if "Condition" in metadata:
        return f"outcome {metadata['Condition'].get('Outcome', '')}"
    if "RegisterModel" in metadata:
        return str(metadata["RegisterModel"].get("Arn", "")).partition("/")[2]
    source = step.get("SelectiveExecutionResult", {}).get("SourcePipelineExecutionArn")
    return f"from {source.rpartition('/')[2]}" if source else ""
