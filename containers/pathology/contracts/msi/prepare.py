"""PrepareMsi's hyperparameters."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pathology.contracts.prepared import HandsOn
from pathology.contracts.settings import Fraction, Names, OptionalName, OptionalUri, Seed, Settings, setting, split_names
from pathology.contracts.uris import S3UriText, UriText

SlideKind = Literal["diagnostic", "frozen", "primary", "recurrent", "metastasis", "normal", "other"]
SlideKinds = Annotated[tuple[SlideKind, ...], BeforeValidator(split_names), Field(min_length=1)]


class PrepareMsi(Settings):
    """Slides and a label table → cohort.csv.

    Columns left at ``none`` are found by the names that the field uses, whatever their case, blanks, underscores and hyphens:
    docs/cohort.md has them.
    """

    patient_column: OptionalName = setting(None, "Column of the label table with the patient.", parameter=True)
    slide_column: OptionalName = setting(None, "Column with the slide; the table's list of slides is obeyed.", parameter=True)
    label_column: OptionalName = setting(None, "Column with the label.", parameter=True)
    sheet: OptionalName = setting(None, "Sheet of a workbook; none: the one whose columns fit.", parameter=True)
    project: OptionalName = setting("COAD", "TCGA project whose rows are taken, where the table has projects.", parameter=True)
    positive: Names = setting(("MSI-H",), "Values of the label that are class 1.", parameter=True)
    negative: Names = setting(
        ("MSI-L", "MSS"), "Values of the label that are class 0; what is in neither is left out.", parameter=True
    )
    one_slide_per_patient: bool = setting(
        False, "Take each slide without a patient for a patient of its own. Only where no patient has two slides.", parameter=True
    )
    slide_kinds: SlideKinds = setting(
        ("diagnostic", "primary"),
        "Kinds of slides that are taken, as TCGA barcodes tell them: preparations and tissues. Other names tell nothing.",
        parameter=True,
    )
    max_left_out_fraction: Fraction = setting(
        0.05,
        "Fraction of the slides that may be lost though they were meant to be used: misnamed, not read, failed or without tissue.",
        parameter=True,
    )
    split: Literal["stable", "stratified", "given"] = setting(
        "stable",
        "stable: by the patient's id alone, so that nobody moves when others come; stratified: every part with its fraction of either "
        "class; given: by a column of the table, or as in an earlier cohort.",
        parameter=True,
    )
    split_seed: Seed = setting(0, "Seed of the split.", parameter=True)
    split_column: OptionalName = setting(
        None, "Column with the given split: train, test, or the number of a fold.", parameter=True
    )
    test_values: Names = setting(("test",), "Values of that column that are the test set.", parameter=True)
    test_fraction: float = setting(0.25, "Fraction of the patients that is set apart for the test.", parameter=True, gt=0, lt=1)
    folds: int = setting(5, "Folds of the cross-validation over the other patients.", parameter=True, ge=2, le=20)

    @model_validator(mode="after")
    def _no_value_is_both(self) -> Self:
        both = {value.casefold() for value in self.positive} & {value.casefold() for value in self.negative}
        if both:
            raise ValueError(f"{sorted(both)[0]!r} is positive and negative: keep it in one")
        return self


class PrepareMsiJob(PrepareMsi, HandsOn):
    """What the job gets besides from the graph."""

    labels: S3UriText = setting(..., "The table of labels.")
    slides: UriText = setting(..., "A folder of slides, or the root that a GDC manifest was downloaded to.")
    manifest: OptionalUri = setting(None, "The GDC manifest.")
    earlier_cohort: OptionalUri = setting(None, "An earlier cohort.csv whose patients keep their places, with split given.")

    @property
    def takes_split(self) -> bool:
        """Whether a column of the table gives the split."""
        return self.split == "given" and self.earlier_cohort is None

    @model_validator(mode="after")
    def _an_earlier_cohort_is_a_given_split(self) -> Self:
        if self.split != "given" and self.earlier_cohort is not None:
            raise ValueError(f"earlier-cohort (EarlierCohortUri) goes with split (Split) given, not {self.split}")
        return self
