"""PrepareTumour's hyperparameters."""

from __future__ import annotations

from pathology.contracts.prepared import HandsOn
from pathology.contracts.settings import Seed, Settings, setting
from pathology.contracts.uris import S3UriText


class PrepareTumour(Settings):
    """A table of patches and their files → patches.csv and the checked images."""

    validation_fraction: float = setting(
        0.15, "Fraction of the train patches that is set apart, by label.", parameter=True, gt=0, lt=0.5
    )
    split_seed: Seed = setting(0, "Seed of the choice of validation patches.", parameter=True)


class PrepareTumourJob(PrepareTumour, HandsOn):
    """What the job gets besides from the graph."""

    table: S3UriText = setting(..., "The table with image, label and split.")
    images: S3UriText = setting(..., "A folder with a zip of PNGs, or with the PNGs.")
