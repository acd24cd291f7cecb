"""A step's log as a person reads it: the job's lines, the next attempt's behind them, until the step has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.refusals import is_missing

from pipelines.checks.expressions import all_steps
from pipelines.service.executions import ExecutionState, StepState, get_state
from pipelines.service.job_logs import JobLog
from pipelines.service.polling import call_with_retries, poll_interval
from pipelines.service.results import described_job, hosts_of
from pipelines.service.session import Session


@dataclass(frozen=True)
class Line:
    """One line of one host; ``timestamp`` in milliseconds since 1970, None where nobody kept it."""

    attempt: int
    host: str
    timestamp: int | None
    message: str
    alone: bool

    def __str__(self) -> str:
        return self.message if self.alone else f"{self.host} | {self.message}"

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {key: value for key, value in asdict(self).items() if key != "alone"}


def lines_of(session: Session, arn: str, name: str, *, follow: bool) -> Iterator[Line]:
    """The lines of a step's job so far; with ``follow`` on until the step has ended, over all of its attempts from now on.

    Raises:
        RequestError: for a step that the execution has not, that ran no job, or that has not started and will not be waited for.
    """
    log: _AttemptLog | None = None
    pause = poll_interval(session)
    _refuse_unknown(session, arn, name)
    while True:
        state = call_with_retries(lambda: get_state(session, arn), pause)
        step = next((step for step in state.steps if step.step == name), None)
        _refuse_silent(state, step, name, follow)
        job = step.job if step else None
        if log is not None and log.job != job:
            yield from log.lines()  # the rest of an attempt that another has followed
            log = None
        if step is not None and job is not None:
            log = log or _AttemptLog(session, step)
            yield from log.lines()
        if not follow or state.over or (step is not None and step.ended is not None):
            return
        time.sleep(pause)


class _AttemptLog:
    """The log of one attempt of a step."""

    def __init__(self, session: Session, step: StepState) -> None:
        assert step.job is not None, f"{step.step} has no job"
        self.job, self.attempt = step.job, step.attempts
        self.alone = hosts_of(described_job(session, step)) == 1
        self._session = session
        self._log, self._pause = JobLog(session, step.job), poll_interval(session)

    def lines(self) -> Iterator[Line]:
        """The lines since the last call."""
        for event in call_with_retries(self._log.new_events, self._pause):
            yield Line(
                self.attempt, event["host"], event.get("timestamp"), self._session.in_own_paths(event["message"]), self.alone
            )


def _refuse_unknown(session: Session, arn: str, name: str) -> None:
    try:
        answer = session.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    except ClientError as error:
        if is_missing(error):
            raise RequestError(f"{session.environment.name} has no execution {arn}") from None
        raise
    names = [step["Name"] for step in all_steps(json.loads(answer["PipelineDefinition"]))]
    if name not in names:
        raise RequestError(f"{name} is not a valid step of the execution: it has {', '.join(names)}")


def _refuse_silent(state: ExecutionState, step: StepState | None, name: str, follow: bool) -> None:
    if step is not None and step.job is None and step.ended is not None:
        raise RequestError(
            f"{name} ran no job in execution {state.identity}, so that there is no log: {step.reason or step.status}"
        )
    if step is None and (state.over or not follow):
        hint = "" if state.over else "; --follow waits for it"
        raise RequestError(f"{name} has not started in execution {state.identity} ({state.status}){hint}")
