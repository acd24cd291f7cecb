"""CollectFeatures' hyperparameters."""

from __future__ import annotations

from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.settings import Fraction, Settings, setting
from pathology.contracts.uris import UriText


class CollectFeatures(Settings):
    """cohort.csv and the features' sidecars → slides.csv at a place named by its content."""

    max_left_out_fraction: Fraction = setting(
        0.05,
        "Fraction of the slides that may be lost though they were meant to be used: misnamed, not read, failed or without tissue.",
        parameter=True,
    )


class CollectFeaturesJob(Tiling, CollectFeatures):
    """What the job gets besides from the graph: the tiling, so that it looks where extraction wrote."""

    features: UriText = setting(..., "Where extraction wrote the features.")
