"""What every task lets a person change per run: the gate, the approval, and how a form lists its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from pipelines.tasks.common import Task
from steps.sdk import Parameter, ParameterString

SWITCH = ["true", "false"]
Hyperparameters = Mapping[str, Any]
T = TypeVar("T", bound=Task)


@dataclass(frozen=True)
class Parameters(Generic[T]):
    """Parameters as Studio's form shows them; the YAML gives the defaults."""

    task: T

    def all(self) -> list[Parameter]:
        """Every parameter, in the order of Studio's form."""
        return [getattr(self, item.name) for item in fields(self) if item.name != "task"]


def approval(task: Task) -> ParameterString:
    """What a registered version starts as."""
    choices = ["PendingManualApproval", "Approved", "Rejected"]
    return ParameterString("ModelApprovalStatus", task.register_as.approval, enum_values=choices)
