"""Following an execution to its end: a live table on a terminal, one line per change in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

ENDED = frozenset({"Succeeded", "Failed", "Stopped"})
_COLOURS = {"Succeeded": "green", "Failed": "red", "Stopped": "yellow", "Executing": "cyan", "Starting": "cyan"}


def steps_of(sagemaker: Any, arn: str) -> list[dict[str, Any]]:
    """Every step that has started, oldest first, over all pages."""
    steps: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending", **token)
        steps += answer["PipelineExecutionSteps"]
        if not answer.get("NextToken"):
            return steps
        token = {"NextToken": answer["NextToken"]}


def seconds(step: dict[str, Any]) -> float:
    """How long a step has run so far, or ran."""
    start = step.get("StartTime")
    return ((step.get("EndTime") or datetime.now(UTC)) - start).total_seconds() if start else 0.0


def remark(step: dict[str, Any]) -> str:
    """What a person wants to know beside the status: why it failed, that it was cached, which way a condition went."""
    if step.get("FailureReason"):
        return str(step["FailureReason"])
    if step.get("CacheHitResult"):
        return "cached"
    metadata = step.get("Metadata", {})
    if "Condition" in metadata:
        return f"outcome {metadata['Condition'].get('Outcome', '')}"
    if "RegisterModel" in metadata:
        return str(metadata["RegisterModel"].get("Arn", "")).partition("/")[2]
    return ""


def table(steps: list[dict[str, Any]]) -> Table:
    """Step, status, seconds, remark."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    view.add_column("Step", no_wrap=True)
    view.add_column("Status", no_wrap=True)
    view.add_column("Seconds", justify="right", no_wrap=True)
    view.add_column("", overflow="fold")
    for step in steps:
        status = step["StepStatus"]
        view.add_row(
            step["StepName"],
            f"[{_COLOURS.get(status, 'white')}]{status}[/]",
            f"{seconds(step):.1f}",
            remark(step).replace("[", r"\["),
        )
    return view


def _looks(sagemaker: Any, arn: str, interval: float) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    while True:
        execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        yield execution, steps_of(sagemaker, arn)
        if execution["PipelineExecutionStatus"] in ENDED:
            return
        time.sleep(interval)


def follow(sagemaker: Any, arn: str, *, interval: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Show the execution until it ends; the last Describe answer and its steps."""
    console = Console()
    last: tuple[dict[str, Any], list[dict[str, Any]]] = ({}, [])
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            for last in _looks(sagemaker, arn, interval):
                live.update(table(last[1]))
        return last
    shown: dict[str, str] = {}
    for last in _looks(sagemaker, arn, interval):
        for step in last[1]:
            line = f"{step['StepName']}: {step['StepStatus']}"
            if shown.get(step["StepName"]) != line:
                shown[step["StepName"]] = line
                said = remark(step)
                ended = f" after {seconds(step):.1f} s" if step["StepStatus"] in ENDED else ""
                print(f"{line}{ended}{': ' + said if said else ''}", flush=True)
    return last
