"""What a Prepare command says of data when it is asked to check them: it reads, writes nothing and prints this."""

from __future__ import annotations

from pydantic import Field

from pathology.contracts.cohort_flow import CohortFlow
from pathology.contracts.strict_json import StrictJson


class DataCheck(StrictJson):
    """``problems`` would end the run; ``warnings`` and ``notes`` would be said.

    ``values`` counts the labels found, "" for none; ``columns`` says which column is what; ``parts`` counts items by side of the
    split. ``flow`` is of tasks that have one.
    """

    problems: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    values: dict[str, int] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    parts: dict[str, str] = Field(default_factory=dict)
    flow: CohortFlow | None = None
