"""patches.csv of mhist, and the numbers of the data set that it is about."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from pathology.contracts.patches import PatchRow

MHIST = "mhist"
"""What dataset.json calls data whose table is in MHIST's own columns."""
LABELS = ("HP", "SSA")
"""MHIST's: hyperplastic polyp, class 0; sessile serrated adenoma, class 1, the positive one."""
PUBLISHED = {"train": 2175, "test": 977}
ANNOTATORS = 7
SIDE = 224
"""px at 5×, about 2.0 µm/px."""


Votes = Annotated[int, Field(ge=0, le=ANNOTATORS)]


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


class MhistPatchRow(PatchRow):
    """One patch, and how many of 7 annotators chose class 1; None where the table does not say."""

    votes: Annotated[Votes | None, BeforeValidator(_empty_is_none)]

    @model_validator(mode="after")
    def _label_is_the_majority(self) -> Self:
        if self.votes is not None and (self.votes > ANNOTATORS / 2) != (self.label == 1):
            raise ValueError(f"label {self.label} is not what {self.votes} of {ANNOTATORS} annotators chose")
        return self
