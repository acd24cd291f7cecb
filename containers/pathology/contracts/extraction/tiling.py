"""How slides are cut into tiles and embedded: all that changes the bytes of features."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pathology.contracts.settings import Fraction, OptionalMpp, Seed, Settings, setting

TILING_ALGORITHM_VERSION = 4
"""Counts up when the same settings come to choose other tiles of a slide: features made before are then recomputed. 2: grey edges and
tinted glass are not tissue, specks of an ink's colour are not ink, tiles black in part are left out. 3: the same tiles, but before it
cuCIM's cache could give those of another slide. 4: TIFF tiles that a decoder warns of are left out, and JPEG 2000's px may differ by 1."""


class Tiling(Settings):
    """All that changes the bytes of a slide's features, beside the slide and the encoder."""

    mpp: float = setting(0.5, "Scale of the tiles in µm/px.", ge=0.1, le=20)
    tile_size: int = setting(224, "Side of the tiles in px at that scale.", ge=32, le=2048)
    min_tissue: Fraction = setting(0.5, "Least fraction of tissue in a tile.")
    max_tiles: int = setting(0, "Tiles of a slide, a seeded sample; 0: every tile.", parameter="TilesPerSlide", ge=0)
    seed: Seed = setting(0, "Seed of the sample.")
    precision: Literal["float32", "float16", "bfloat16"] = setting("float16", "Arithmetic of the encoder.", parameter=True)
    default_mpp: OptionalMpp = setting(None, "Scale of slides that do not say theirs, in µm/px; none: they fail.", parameter=True)
    feats: bool = setting(False, "Give the features their second name, for tools that look for that one.")

    def hash(self, encoder: str, checkpoint_sha256: str) -> str:
        """16 hexadecimal digits that name these settings with this encoder; the folder that the features lie in."""
        # An option that came later counts only when it is used: features made before it keep their hash.
        options = {name: getattr(self, name) for name in Tiling.model_fields if name != "feats" or self.feats}
        # The keys are part of the hash: another name for one, and no features would be found.
        origin = {"encoder": encoder, "checkpoint": checkpoint_sha256, "schema": 1, "recipe": TILING_ALGORITHM_VERSION}
        text = json.dumps({**options, **origin}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
