"""drift-baseline.json: what the items that a model learnt from look like, to tell from it how far a new one is.

The distance is a standardised Euclidean one, the Mahalanobis distance of a diagonal covariance: variances are shrunk towards their mean,
so that a number that hardly varied in training does not decide alone, and squares are averaged, so that it does not grow with D.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from pathology.contracts.colours import COLOURS
from pathology.contracts.hashes import Sha256
from pathology.contracts.strict_json import StrictJson

NO_BASELINE = "none"
"""Stands in a version's metadata, in place of a hash, where the model's artefact is of before there were baselines."""
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SHRINKAGE = 0.1
"""Weight of the mean variance in each variance that a distance is standardised by."""
DIGITS = 6
"""Significant digits of every number in the file."""

Deviation = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


class Quantiles(StrictJson):
    """Values at :data:`LEVELS`, in their order."""

    levels: tuple[float, ...] = LEVELS
    values: tuple[float, ...]

    @model_validator(mode="after")
    def _ascending(self) -> Quantiles:
        if len(self.values) != len(self.levels) or not self.levels:
            raise ValueError(f"values: {len(self.values)} of them at {len(self.levels)} levels")
        if any(first > second for first, second in (*pairwise(self.values), *pairwise(self.levels))):
            raise ValueError("values: they do not rise with the levels")
        return self


class Moments(StrictJson):
    """Mean and standard deviation (n − 1) of each of D numbers over ``n`` items; 0 of a single one."""

    n: Annotated[int, Field(ge=1)]
    mean: tuple[float, ...]
    sd: tuple[Deviation, ...]

    @model_validator(mode="after")
    def _as_many(self) -> Moments:
        if not self.mean or len(self.mean) != len(self.sd):
            raise ValueError(f"sd: {len(self.sd)} numbers, and mean has {len(self.mean)}")
        return self


class Reference(Moments):
    """The moments, and how far items lie from the centre.

    ``distance`` are quantiles over the training items, each against mean and deviations of all others: what a new item of the same kind
    would have. It is null for fewer than three items, and where without one of them the others are all alike.
    """

    distance: Quantiles | None

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Of ``vectors`` (m, D) from the centre, (m,); infinite off a centre where nothing varied."""
        mean, sd = np.array(self.mean), np.array(self.sd)
        return standardised(vectors - mean, sd**2)


class Embeddings(Reference):
    """Embeddings of the items; ``of`` says in words what an item's is. ``tiles`` are the moments of all tiles of all items, where items
    have tiles: every tile weighs the same there, while above every item does."""

    of: str
    tiles: Moments | None = None


class Colours(StrictJson):
    """The colours of items counted in ``unit``, over ``pixels`` in words; they are ``unknown`` of so many items.

    An item's are the six numbers that :data:`pathology.contracts.colours.COLOURS` names.
    ``reference`` and ``quantiles``, by name of the number, are null where they are unknown of all.
    """

    unit: str
    pixels: str
    unknown: Count
    reference: Reference | None
    quantiles: dict[str, Quantiles] | None

    @model_validator(mode="after")
    def _six(self) -> Colours:
        if (self.reference is None) != (self.quantiles is None):
            raise ValueError("quantiles: given without reference, or the other way round")
        if self.reference is not None and len(self.reference.mean) != len(COLOURS):
            raise ValueError(f"reference: {len(self.reference.mean)} numbers, and colours are {len(COLOURS)}")
        if self.quantiles is not None and tuple(self.quantiles) != COLOURS:
            raise ValueError(f"quantiles: of {', '.join(self.quantiles)}, not of {', '.join(COLOURS)}")
        return self


class DriftBaseline(StrictJson):
    """drift-baseline.json. It holds for the encoder with ``encoder_sha256`` and for items prepared by the settings of ``settings_hash``.

    Of ``items`` training items of ``splits``, counted in ``unit``, embeddings and colours are of ``taken``, drawn by the training's seed
    where these are fewer. ``groups`` are the slides or patients that they are of, by what they are; what is not known is left out.
    """

    format_version: Literal[1] = 1
    encoder: str
    encoder_sha256: Sha256
    settings_hash: Annotated[str, Field(min_length=1)]
    splits: tuple[Literal["train", "validation"], ...]
    unit: str
    items: Annotated[int, Field(ge=1)]
    taken: Annotated[int, Field(ge=1)]
    groups: dict[str, Count]
    embeddings: Embeddings
    colours: Colours

    @model_validator(mode="after")
    def _counted(self) -> DriftBaseline:
        if not self.embeddings.n == self.taken <= self.items:
            raise ValueError(f"taken: {self.taken} of {self.items} items, and embeddings of {self.embeddings.n}")
        return self


def standardised(differences: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Distances (m,) of ``differences`` (m, D) from the centre, by ``variances`` (D,) or (m, D)."""
    shrunk = (1 - SHRINKAGE) * variances + SHRINKAGE * variances.mean(axis=-1, keepdims=True)
    squares = differences**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(np.where(squares == 0, 0.0, squares / shrunk).mean(axis=1))
