"""ExtractFeatures' hyperparameters."""

from __future__ import annotations

from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.settings import setting
from pathology.contracts.uris import UriText


class ExtractFeatures(Tiling):
    """cohort.csv → one HDF5 file per slide at ``<features>/<settings hash>/<slide_id>.h5``."""

    batch_size: int = setting(0, "Tiles per forward pass; 0: by the device. One that does not fit is halved.", ge=0, le=4096)
    reader_threads: int = setting(
        0,
        "The most threads that read tiles for one GPU; 0: its share of the cores but one. They are used as needed.",
        ge=0,
        le=256,
    )
    extraction_run: str = setting(
        "1", "Any word: another one looks again for slides that are missing or changed.", parameter=True, max_length=64
    )


class ExtractFeaturesJob(ExtractFeatures):
    """What the job gets besides from the graph."""

    features: UriText = setting(..., "Where the features go.")
