"""Typed hyperparameters of the msi task's commands."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.settings import Fraction, Names, OptionalMpp, OptionalName, OptionalUri, Resampling, Seed, Settings
from pathology.contracts.uris import UriText


class PrepareMsi(Settings):
    """Slides and a label table → cohort.csv.

    ``slides`` is a folder of slides or the root that a GDC ``manifest`` was downloaded to. ``positive`` and ``negative``
    are the values of the label column; what is in neither is left out. Columns left at ``none`` are found by name:
    Liu et al. 2018's headers, or ``patient_id`` (or ``slide_id``) and ``label``.
    """

    slides: UriText
    manifest: OptionalUri = None
    patient_column: OptionalName = None
    label_column: OptionalName = None
    project: OptionalName = "COAD"
    positive: Names = ("MSI-H",)
    negative: Names = ("MSI-L", "MSS")
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.25
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    seed: Seed = 0


TILING_RECIPE = 3
"""Counts up when the same settings come to choose other tiles of a slide: features made before are then made again. 2: grey edges
and tinted glass are no tissue, specks of an ink's colour are no ink, tiles black in part are left out. 3: the same tiles, but before it
cuCIM's cache could give those of another slide."""


class Tiling(Settings):
    """All that changes the bytes of a slide's features, beside the slide and the encoder.

    ``mpp`` is the tiles' scale in µm/px, ``tile_size`` their side in px at that scale, ``min_tissue`` the least share of
    tissue in a tile, ``max_tiles`` a seeded sample (0: every tile), ``precision`` the arithmetic of the encoder. ``feats`` gives
    the features their second name, for tools that look for that one.
    """

    mpp: Annotated[float, Field(ge=0.1, le=20)] = 0.5
    tile_size: Annotated[int, Field(ge=32, le=2048)] = 224
    min_tissue: Fraction = 0.5
    max_tiles: Annotated[int, Field(ge=0)] = 0
    seed: Seed = 0
    precision: Literal["float32", "float16", "bfloat16"] = "float16"
    default_mpp: OptionalMpp = None
    feats: bool = False

    def hash(self, encoder: str, checkpoint_sha256: str) -> str:
        """16 hexadecimal digits that name these settings with this encoder; the folder that the features lie in."""
        # An option that came later counts only when it is used: features made before it stay what they are.
        own = {name: getattr(self, name) for name in Tiling.model_fields if name != "feats" or self.feats}
        what = {"encoder": encoder, "checkpoint": checkpoint_sha256, "schema": 1, "recipe": TILING_RECIPE}
        text = json.dumps({**own, **what}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class ExtractFeatures(Tiling):
    """cohort.csv → one HDF5 file per slide at ``<features>/<settings hash>/<slide_id>.h5``.

    ``batch_size`` is tiles per forward pass, 0 by the device; one that does not fit is halved. ``extraction_run`` changes
    nothing but the cache key: raise it to look again
    for slides that are missing or changed; finished ones are skipped.
    """

    features: UriText
    batch_size: Annotated[int, Field(ge=0, le=4096)] = 0
    extraction_run: Annotated[str, Field(max_length=64)] = "1"


class CollectFeatures(Tiling):
    """cohort.csv and the features' sidecars → slides.csv at a place named by its content.

    ``encoder`` is the folder with encoder.json; more than ``max_failed_fraction`` of failed slides fails the run.
    """

    features: UriText
    encoder: UriText
    max_failed_fraction: Fraction = 0.1


class StageFeatures(Settings):
    """Copies the features that slides.csv names, and the ``encoder``'s folder, to EFS where they changed."""

    encoder: UriText


class TrainMsi(Settings):
    """Gated attention MIL, cross-validated over the cohort's folds, kept as an ensemble.

    ``batch_size`` is bags per step, ``max_tiles`` instances drawn from a bag per epoch (0: all of them).
    ``shuffle_labels`` trains on the labels of other patients of the same fold: a control, from which nothing can be learnt.
    """

    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    max_tiles: Annotated[int, Field(ge=0)] = 3000
    hidden_size: Annotated[int, Field(ge=8, le=4096)] = 256
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    patience: Annotated[int, Field(ge=1, le=1000)] = 8
    shuffle_labels: bool = False
    seed: Seed = 0


class EvaluateMsi(Resampling):
    """The packaged model on the test patients → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patients."""
