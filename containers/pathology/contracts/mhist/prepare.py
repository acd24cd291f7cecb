"""PrepareMhist's hyperparameters."""

from __future__ import annotations

from pathology.contracts.settings import Seed, Settings, setting


class PrepareMhist(Settings):
    """annotations.csv and the patches → patches.csv and the checked images."""

    published_counts: bool = setting(
        True,
        "Hold the partition to MHIST's own 2,175 train and 977 test patches (Wei et al. 2021); false for a subset.",
        parameter=True,
    )
    validation_fraction: float = setting(
        0.15,
        "Fraction of the train partition that is set apart, by label and annotators' agreement.",
        parameter=True,
        gt=0,
        lt=0.5,
    )
    seed: Seed = setting(0, "Seed of the choice of validation patches.", parameter=True)
