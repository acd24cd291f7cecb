"""What msi's model learnt from looks like: patients by the mean of their tiles, slides by their colours."""

from __future__ import annotations

from typing import Final

import numpy as np

from pathology.contracts.drift import DriftBaseline, Embeddings
from pathology.tasks.msi.dataset import Bags, mean_of_tiles
from pathology.training.drift import RunningMoments, colours, reference

OF: Final = "mean of the patient's tile features, as extracted"
PIXELS: Final = "every 4th row and column of the slide's tiles"


def drift_baseline(bags: Bags, settings_hash: str) -> DriftBaseline:
    """Of all patients of ``bags``, each of which weighs the same: the model answers by patient. One pass over them.

    Raises:
        DataError: naming the slide whose file is gone, changed, or by another encoder.
    """
    tiles, means = RunningMoments(bags.encoder.dimension), []
    for index in range(len(bags)):
        bag = bags.load(index)
        tiles.add(bag)
        means.append(mean_of_tiles(bag))
    slides = [slide.slide_id for patient in bags.patients for slide in patient.slides]
    return DriftBaseline(
        encoder=bags.encoder.name,
        encoder_sha256=bags.encoder.sha256,
        settings_hash=settings_hash,
        splits=("train",),
        unit="patients",
        items=len(bags),
        taken=len(bags),
        groups={"slides": len(slides)},
        embeddings=Embeddings(of=OF, tiles=tiles.moments(), **reference(np.stack(means)).model_dump()),
        colours=colours([bags.colours[name] for name in slides], "slides", PIXELS),
    )
