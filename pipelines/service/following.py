"""Following an execution to its end: a live table on a terminal, one line per change in a log, JSON for scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live

from pipelines.service.errors import missing_permission
from pipelines.service.executions import ENDED, ExecutionState, StepState, get_state
from pipelines.service.interruption import goes_on
from pipelines.service.polling import call_with_retries, poll_interval
from pipelines.service.progress import Watched
from pipelines.service.results import summary
from pipelines.service.session import Session
from pipelines.tables import print_json, steps_table


def poll_states(session: Session, arn: str) -> Iterator[ExecutionState]:
    """The execution's state at each poll, the last one when it has ended."""
    pause = poll_interval(session)
    while True:
        state = call_with_retries(lambda: get_state(session, arn), pause)
        yield state
        if state.over:
            return
        time.sleep(pause)


def follow(session: Session, arn: str, *, as_json: bool = False) -> ExecutionState:
    """Show the execution until it ends; how it ended."""
    states = Watched(session).states(poll_states(session, arn))
    with goes_on(session, arn):
        if as_json:
            return _print_changes(states)
        console = Console()
        return _live(states, console) if console.is_terminal else _print_lines(states)


def _live(states: Iterator[ExecutionState], console: Console) -> ExecutionState:
    with Live(console=console, refresh_per_second=4) as live:
        for state in states:
            live.update(steps_table(state.steps))
    return state


def _tenth(step: StepState) -> int | None:
    """Tenths of its work that a running step has done; None where it does not say."""
    return None if step.progress is None else int(10 * step.progress.fraction + 1e-9)


def _print_lines(states: Iterator[ExecutionState]) -> ExecutionState:
    """A line for every change of a step's status, and for every tenth of its work."""
    shown: dict[str, str] = {}
    tenths: dict[str, int] = {}
    for state in states:
        for step in state.steps:
            tried = f" (attempt {step.attempts})" if step.attempts > 1 else ""
            line = f"{step.step}: {step.status}{tried}"
            if shown.get(step.step) != line:
                shown[step.step] = line
                remarks = [*(["cached"] if step.cached else []), *([step.reason] if step.reason else [])]
                ended = f" after {step.seconds:.1f} s" if step.status in ENDED else ""
                print(f"{line}{ended}{': ' if remarks else ''}{', '.join(remarks)}", flush=True)
            tenth = _tenth(step)
            if tenth is not None and tenths.get(step.step, 0) != tenth:
                print(f"{step.step}: {step.progress}", flush=True)
            tenths[step.step] = tenth or 0
    return state


def _print_changes(states: Iterator[ExecutionState]) -> ExecutionState:
    """A line of JSON for every state that differs from the one before by more than its seconds; how far steps are counts by tenths."""
    before = None
    for state in states:
        now = (state.status, [(step.step, step.status, step.attempts, _tenth(step)) for step in state.steps])
        if now != before:
            print_json(state.as_json(), indent=None)
        before = now
    return state


def follow_to_the_end(session: Session, arn: str, *, as_json: bool = False) -> int:
    """Follow, then say what it came to and how it ended; the exit code for that."""
    state = follow(session, arn, as_json=as_json)
    if as_json:
        return state.exit_code
    for line in (*summary(session, state), *ending(state)):
        print(line)
    return state.exit_code


def ending(state: ExecutionState) -> Iterator[str]:
    """Lines on how it ended: what each failed step said and where its log is, then the execution itself."""
    for step in state.steps:
        if step.status == "Failed":
            yield from _failure(step)
    told = any(step.status == "Failed" and step.reason in (state.reason or "") for step in state.steps)
    yield f"execution {state.status}{f': {state.reason}' if state.reason and not told else ''}"


def _failure(step: StepState) -> Iterator[str]:
    tried = f" at attempt {step.attempts}" if step.attempts > 1 else ""
    yield f"{step.step} failed{tried}: {step.reason}"
    permission = missing_permission(step.reason)
    if permission:
        yield f"  {permission}"
    if step.log:
        yield f"  log: {step.log}"
