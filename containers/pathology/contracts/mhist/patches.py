"""patches.csv of mhist, and the numbers of the data set that it is about."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pathology.contracts.patches import PatchRow

LABELS = ("HP", "SSA")
"""Hyperplastic polyp, class 0; sessile serrated adenoma, class 1, the positive one."""
PUBLISHED = {"train": 2175, "test": 977}
ANNOTATORS = 7
SIDE = 224
"""px at 5×, about 2.0 µm/px."""


class MhistPatchRow(PatchRow):
    """One patch, and how many of 7 annotators chose class 1."""

    votes: Annotated[int, Field(ge=0, le=ANNOTATORS)]

    @model_validator(mode="after")
    def _label_is_the_majority(self) -> Self:
        if (self.votes > ANNOTATORS / 2) != (self.label == 1):
            raise ValueError(f"label {self.label} is not what {self.votes} of {ANNOTATORS} annotators chose")
        return self
