"""What a Prepare command says of data when it is asked to check them: it reads, writes nothing and prints this."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from pathology.contracts.strict_json import StrictJson

WARNING = "warning: "
"""How a line of a job's log begins that people should read."""


class DataCheck(StrictJson):
    """``problems`` would end the run; ``warnings`` and ``notes`` would be said.

    ``values`` counts the patients, patches or nuclei of each label found, "" for none; ``columns`` says which column is what;
    ``parts`` counts the patients of either side of the split. ``flow`` is a cohort flow (contracts/cohort_flow.py), of tasks that have one.
    """

    problems: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    values: dict[str, int] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    parts: dict[str, str] = Field(default_factory=dict)
    flow: dict[str, Any] | None = None

    @classmethod
    def of(cls, description: str, values: dict[str, int], columns: dict[str, str] | None = None) -> Self:
        """Of data without a problem: the lines of a ``description`` are warnings or notes."""
        lines = description.splitlines()
        return cls(
            warnings=[line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)],
            notes=[line for line in lines if not line.startswith(WARNING)],
            values=values,
            columns=columns or {},
        )
