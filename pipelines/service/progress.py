"""How far a running step is, as its job's log says: slides, fold and epoch, read on from poll to poll."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from botocore.exceptions import BotoCoreError, ClientError
from pathology.contracts.errors import PathologyError
from pathology.contracts.log_lines import EPOCH, FOLD, SLIDES_DONE
from pathology.contracts.refusals import is_denied, is_missing

from pipelines.service.errors import explain, is_passing
from pipelines.service.executions import ExecutionState, Progress, StepState
from pipelines.service.job_logs import JobLog, SampledLog
from pipelines.service.session import Session

_SLIDES, _FOLD, _EPOCH = (re.compile(expression) for expression in (SLIDES_DONE, FOLD, EPOCH))
_UNREADABLE = (ClientError, BotoCoreError, PathologyError, OSError)


@dataclass
class Said:
    """What the lines of a job's log say so far. Slides are summed over hosts and their workers; a host that started again goes on from
    what it had."""

    slides: dict[tuple[str, str], int] = field(default_factory=dict)
    all_slides: int = 0
    fold: tuple[int, int] | None = None
    epoch: tuple[int, int] | None = None

    def hear(self, host: str, line: str) -> None:
        """Take up a line of a host's log."""
        if found := _SLIDES.fullmatch(line):
            self.slides[host, found[1] or ""] = int(found[2])
            self.all_slides = int(found[3])
        elif found := _FOLD.fullmatch(line):
            self.fold, self.epoch = (int(found[1]), int(found[2])), None
        elif found := _EPOCH.fullmatch(line):
            self.epoch = int(found[1]), int(found[2])

    @property
    def progress(self) -> Progress | None:
        """None while nothing was said of it."""
        if self.slides:
            return Progress(slides=(min(sum(self.slides.values()), self.all_slides), self.all_slides))
        return Progress(fold=self.fold, epoch=self.epoch) if self.fold or self.epoch else None


@dataclass
class Watched:
    """The running steps of an execution and their logs: a call of CloudWatch Logs a step and poll. What cannot be read is said once,
    and following goes on."""

    session: Session
    _logs: dict[str, tuple[SampledLog, Said]] = field(default_factory=dict)
    _complained: bool = False
    _denied: bool = False

    def states(self, states: Iterator[ExecutionState]) -> Iterator[ExecutionState]:
        """The same states, whose running steps say how far they are."""
        for state in states:
            yield replace(state, steps=tuple(map(self._with_progress, state.steps)))

    def _with_progress(self, step: StepState) -> StepState:
        if step.job is None or step.status != "Executing":
            return step
        log, said = self._logs.setdefault(step.job, (SampledLog(JobLog(self.session, step.job)), Said()))
        try:
            for event in [] if self._denied else log.next_events():
                said.hear(event["host"], event["message"].rstrip())
        except _UNREADABLE as error:
            self._complain(step, error)
        return replace(step, progress=said.progress)

    def _complain(self, step: StepState, error: Exception) -> None:
        if isinstance(error, ClientError) and is_missing(error):
            return  # a job that has said nothing yet has no log
        self._denied = self._denied or (isinstance(error, ClientError) and is_denied(error))
        if self._complained or is_passing(error):
            return
        self._complained = True
        words = explain(error) if isinstance(error, ClientError | BotoCoreError) else str(error)
        print(f"how far {step.step} is cannot be read in its log: {' '.join(words.split())}", file=sys.stderr)
