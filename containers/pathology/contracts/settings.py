"""Typed hyperparameters of every command: checked when a pipeline is built, parsed again from the job's own contract files."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pathology.contracts.errors import RequestError
from pathology.contracts.uris import UriText

NOT_GIVEN = "none"
"""How an optional URI says in a pipeline parameter that there is none: Studio's form cannot hold an empty string."""


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def explain(error: ValidationError, where: str) -> str:
    """One line for the first thing wrong in a pydantic error, naming the key: ``msi.yaml: train.epochs: …``."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key: take it out or correct its name"
    elif first["type"] == "missing":
        message = "missing: add it"
    elif "input" in first and not isinstance(first["input"], dict):
        message = f"{message}, not {first['input']!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {key + ': ' if key else ''}{message}{more}"


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown key; written ``max-tiles`` outside and ``max_tiles`` inside."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_kebab, populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Check ``values`` (strings are read as the field's type, as hyperparameters arrive).

        Raises:
            RequestError: one line with ``where``, the key and what is wrong with it.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RequestError(explain(error, where)) from None

    def given(self) -> dict[str, Any]:
        """Every field under its outer name, so that a graph can put pipeline parameters in some places."""
        return self.model_dump(mode="json", by_alias=True)

    def as_strings(self) -> dict[str, str]:
        """What a job receives: ``{"max-tiles": "3000", …}``, every value a string, booleans ``true`` and ``false``."""
        return {key: as_string(value) for key, value in self.given().items()}


def as_string(value: Any) -> str:
    """One hyperparameter as the service carries it."""
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ",".join(as_string(item) for item in value)
        case None:
            return NOT_GIVEN
        case _:
            return str(value)


def _split(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _given(value: Any) -> Any:
    return None if value == NOT_GIVEN else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split), Field(min_length=1)]
OptionalUri = Annotated[UriText | None, BeforeValidator(_given)]
OptionalName = Annotated[str | None, BeforeValidator(_given)]
OptionalMpp = Annotated[Annotated[float, Field(gt=0.01, lt=100)] | None, BeforeValidator(_given)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Resampling(Settings):
    """``resamples`` bootstrap draws of the test items give the ``confidence`` intervals of an evaluation."""

    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    seed: Seed = 0


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


TILING_RECIPE = 2
"""Counts up when the same settings come to choose other tiles of a slide: features made before are then made again. 2: grey edges
and tinted glass are no tissue, specks of an ink's colour are no ink, tiles black in part are left out."""


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
    """

    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    max_tiles: Annotated[int, Field(ge=0)] = 3000
    hidden_size: Annotated[int, Field(ge=8, le=4096)] = 256
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    patience: Annotated[int, Field(ge=1, le=1000)] = 8
    seed: Seed = 0


class EvaluateMsi(Resampling):
    """The packaged model on the test patients → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patients."""


class PrepareMhist(Settings):
    """annotations.csv and the patches → patches.csv and the checked images.

    ``published_counts`` holds the partition to MHIST's own 2,175 train and 977 test patches (Wei et al. 2021); switch it off for a
    subset. ``validation_fraction`` of the train partition is kept aside, stratified by label and annotators' agreement.
    """

    published_counts: bool = True
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    seed: Seed = 0


class StageMhist(Settings):
    """Copies the ``images`` that patches.csv names, and the ``encoder``'s folder, to EFS where they changed."""

    images: UriText
    encoder: UriText


Tune = Literal["linear", "lora", "last-blocks", "full"]


class TrainMhist(Settings):
    """A patch classifier on the encoder: HP against SSA.

    ``tune`` says what is trained besides the head: ``linear`` nothing, on embeddings computed once; ``lora`` adapters of ``rank``
    on qkv and proj; ``last-blocks`` the last ``blocks`` of the encoder; ``full`` all of it. ``batch_size`` is global, split among
    hosts and GPUs and over ``accumulation`` steps. ``soft_labels`` trains on the annotators' share of votes.
    ``learning_rate`` is the head's, ``encoder_learning_rate`` that of what is trained inside the encoder; ``warm_up`` the share
    of steps before the cosine. Training stops after ``patience`` epochs without a better validation loss.
    """

    tune: Tune = "linear"
    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    encoder_learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=1, le=1000)] = 5
    rank: Annotated[int, Field(ge=1, le=256)] = 16
    blocks: Annotated[int, Field(ge=1, le=64)] = 2
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    soft_labels: bool = False
    shuffle_labels: bool = False
    seed: Seed = 0


class EvaluateMhist(Resampling):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patches."""
