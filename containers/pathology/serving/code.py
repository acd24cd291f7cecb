"""The code that a model carries: its task's serving module, and the endpoint that calls it."""

from __future__ import annotations

from pathology.commands import serve
from pathology.contracts.code import Code, closure


def endpoint_code(module: str) -> Code:
    """All files that an endpoint of the task's ``module`` (``pathology.tasks.<task>.serving``) runs on.

    Raises:
        RequestError: when there is no such module.
    """
    return Code({**closure(module).files, **closure(serve.__name__).files})
