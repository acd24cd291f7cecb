"""The tasks: one module each, which holds its ``TASK``. This is the only list of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pathology.contracts.errors import RequestError

if TYPE_CHECKING:
    from pipelines.tasks.spec import TaskSpec

NAMES = (
    "msi",
    "mhist",
    "lizard",
)


TRAIN, PREDICT = "train", "predict"
"""Kinds of pipelines: the one that every task has, and the one that asks a registered version about data without labels."""


def task_spec(name: str) -> TaskSpec:
    """A task by name, from ``pipelines.tasks.<name>``.

    Raises:
        RequestError: for a name that is not in the list.
    """
    if name not in NAMES:
        raise RequestError(f"there is no task {name!r}: choose one of {', '.join(NAMES)}")
    spec: TaskSpec = import_module(f"{__name__}.{name}").TASK
    return spec
