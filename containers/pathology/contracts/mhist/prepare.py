"""PrepareMhist's hyperparameters."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from pathology.contracts.mhist.patches import SIDE
from pathology.contracts.prepared import HandsOn
from pathology.contracts.settings import Names, OptionalName, Seed, Settings, setting
from pathology.contracts.uris import S3UriText


class PrepareMhist(Settings):
    """annotations.csv and the patches → patches.csv and the checked images."""

    published_counts: bool = setting(
        True,
        "Hold the partition of MHIST's own table to its 2,175 train and 977 test patches (Wei et al. 2021); false for a subset.",
        parameter=True,
    )
    validation_fraction: float = setting(
        0.15,
        "Fraction of the train partition that is set apart, by label and annotators' agreement.",
        parameter=True,
        gt=0,
        lt=0.5,
    )
    split_seed: Seed = setting(
        0, "Seed of the choice of validation patches, and of a split that the table does not make.", parameter=True
    )
    test_fraction: float = setting(
        0.2, "Fraction of the patches that is tested on, where the table has no partition.", parameter=True, gt=0, lt=0.9
    )
    negative: Names = setting(("HP",), "Labels in the table that are class 0.", parameter=True)
    positive: Names = setting(("SSA",), "Labels in the table that are class 1.", parameter=True)
    image_column: OptionalName = setting(None, "Column with the patches' files.", parameter=True)
    label_column: OptionalName = setting(None, "Column with the labels.", parameter=True)
    partition_column: OptionalName = setting(None, "Column with train, validation and test.", parameter=True)
    group_column: OptionalName = setting(None, "Column with what is never split, such as the patient.", parameter=True)
    votes_column: OptionalName = setting(None, "Column with how many of seven annotators chose class 1.")
    patch_side: int = setting(SIDE, "Side of every patch in px.", parameter=True, ge=32, le=2048)

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if both := sorted({*self.negative} & {*self.positive}):
            raise ValueError(f"{both[0]!r} is in negative and in positive")
        return self

    @property
    def labels(self) -> tuple[str, str]:
        """What class 0 and class 1 are called."""
        return "+".join(self.negative), "+".join(self.positive)


class PrepareMhistJob(PrepareMhist, HandsOn):
    """What the job gets besides from the graph."""

    annotations: S3UriText = setting(..., "The table of images and labels.")
    images: S3UriText = setting(..., "A folder with images.zip, or with the PNGs or JPEGs.")
