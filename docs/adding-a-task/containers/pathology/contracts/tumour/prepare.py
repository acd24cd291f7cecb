"""PrepareTumour's hyperparameters."""

from __future__ import annotations

from pathology.contracts.settings import Seed, Settings, setting


class PrepareTumour(Settings):
    """A table of patches and their files → patches.csv and the checked images."""

    validation_fraction: float = setting(
        0.15, "Fraction of the train patches that is set apart, by label.", parameter=True, gt=0, lt=0.5
    )
    split_seed: Seed = setting(0, "Seed of the choice of validation patches.", parameter=True)
