"""PrepareSlides' hyperparameters: slides without labels, and the model that is asked about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pathology.contracts.msi.prepare import SlideKinds
from pathology.contracts.settings import NOT_GIVEN, OptionalMpp, OptionalUri, Settings, setting
from pathology.contracts.uris import S3UriText

APPROVED = "approved"
"""For a version's ARN: the group's latest approved one, as the first step finds it."""
VERSION = rf"^({APPROVED}|arn:aws[a-z-]*:sagemaker:[^:]+:\d{{12}}:model-package/[^/]+/\d{{1,9}})$"
_AS_THE_MODEL = "none: as the model's."


def _given(value: Any) -> Any:
    return None if value == NOT_GIVEN else value


_NONE = BeforeValidator(_given)


class PrepareSlidesMsi(Settings):
    """Slides without labels → whose they are, what extraction has to know, and the model's own settings of extraction.

    Features are made as the model's own were, whatever is left at ``none`` here. What is given is held against that, and refused where
    it differs.
    """

    slide_kinds: SlideKinds = setting(
        ("diagnostic", "primary"),
        "Kinds of slides that are taken, as TCGA barcodes tell them: preparations and tissues. Other names tell nothing.",
        parameter=True,
    )
    mpp: Annotated[float | None, _NONE] = setting(None, f"Scale of the tiles in µm/px; {_AS_THE_MODEL}")
    tile_size: Annotated[int | None, _NONE] = setting(None, f"Side of the tiles in px; {_AS_THE_MODEL}")
    min_tissue: Annotated[float | None, _NONE] = setting(None, f"Least fraction of tissue in a tile; {_AS_THE_MODEL}")
    max_tiles: Annotated[int | None, _NONE] = setting(
        None, f"Tiles of a slide, a seeded sample; 0: every tile; {_AS_THE_MODEL}", parameter="TilesPerSlide"
    )
    seed: Annotated[int | None, _NONE] = setting(None, f"Seed of the sample; {_AS_THE_MODEL}")
    precision: Annotated[Literal["float32", "float16", "bfloat16"] | None, _NONE] = setting(
        None, f"Arithmetic of the encoder; {_AS_THE_MODEL}", parameter=True
    )
    default_mpp: OptionalMpp = setting(None, f"Scale of slides that do not say theirs; {_AS_THE_MODEL}", parameter=True)
    objective_scale: Annotated[bool | None, _NONE] = setting(
        None, f"Scale by the objective's power where there is no other; {_AS_THE_MODEL}"
    )
    tissue_saturation: Annotated[float | None, _NONE] = setting(None, f"Saturation above which a px is tissue; {_AS_THE_MODEL}")
    min_tissue_area: Annotated[float | None, _NONE] = setting(None, f"Least piece of tissue in µm²; {_AS_THE_MODEL}")
    max_hole: Annotated[float | None, _NONE] = setting(None, f"Largest hole in µm that counts as tissue; {_AS_THE_MODEL}")
    remove_ink: Annotated[bool | None, _NONE] = setting(None, f"Take pen marks out of the tissue; {_AS_THE_MODEL}")


class PrepareSlidesMsiJob(PrepareSlidesMsi):
    """What the job gets besides from the graph."""

    slides: S3UriText = setting(..., "A folder of slides, or a table that names them by URI.")
    patients: OptionalUri = setting(None, "A table with slide and patient.")
    features: S3UriText = setting(..., "Where features lie, and go.")
    group: str = setting(..., "The model package group.")
    version: Annotated[str, Field(pattern=VERSION)] = setting(..., "A model version's ARN, or approved.")
    prepared: S3UriText = setting(..., "Where what is handed on goes, in folders named by their content.")
