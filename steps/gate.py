"""The quality gate: register a model whose metric reaches a threshold, fail in words that name both otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steps.jobs import Job
from steps.request import RequestStep
from steps.sdk import ConditionGreaterThanOrEqualTo, ConditionStep, FailStep, Join


def gate_passed(metric: str, threshold: Any) -> Join:
    """What a version that passed says of its gate: ``AUROC at least 0.8``, the threshold being the run's."""
    return Join(on="", values=[f"{metric} at least ", threshold])


def quality_gate(
    name: str, metric: str, scores: Job, path: str, threshold: Any, *, then: Sequence[RequestStep], below: str
) -> ConditionStep:
    """The steps ``then`` when the value at ``path`` in the report of ``scores`` is at least ``threshold``; else the step ``below`` ends the
    execution as failed: ``AUROC 0.71 is below the threshold 0.8; …``."""
    message = Join(
        on="",
        values=[
            f"{metric} ",
            scores.value(path),
            " is below the threshold ",
            threshold,
            "; nothing was registered. See the report of ",
            scores.step.name,
            ".",
        ],
    )
    fail = FailStep(below, error_message=message, description=f"Ends the execution: {metric} is below the threshold.")
    condition = ConditionGreaterThanOrEqualTo(left=scores.value(path), right=threshold)
    return ConditionStep(
        name, conditions=[condition], if_steps=list(then), else_steps=[fail], description="Is the model good enough to register?"
    )
