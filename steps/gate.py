"""The quality gate: register a model that Compare lets pass, fail in its words otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from steps.jobs import Job
from steps.request import RequestStep
from steps.sdk import ConditionGreaterThanOrEqualTo, ConditionStep, FailStep, Join

PASSED = 1
"""comparison.json's ``score`` of a candidate that passed; conditions compare numbers."""


def quality_gate(name: str, verdict: Job, scores: Job, *, then: Sequence[RequestStep], below: str) -> ConditionStep:
    """The steps ``then`` when ``verdict``, a Compare step, let the candidate pass; else the step ``below`` ends the execution as failed,
    with the verdict's message: ``the lower bound 0.61 of AUROC 0.78 is below 0.65, by 0.04; …``."""
    words = [verdict.value("message"), "; nothing was registered. See the report of ", scores.step.name, "."]
    fail = FailStep(
        below,
        error_message=Join(on="", values=words),
        description="Ends the execution: the model is below its threshold or worse than the approved version.",
    )
    condition = ConditionGreaterThanOrEqualTo(left=verdict.value("score"), right=PASSED)
    return ConditionStep(
        name, conditions=[condition], if_steps=list(then), else_steps=[fail], description="Is the model good enough to register?"
    )
