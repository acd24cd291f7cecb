"""How slides are cut into tiles and embedded: all that changes the bytes of features."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pathology.contracts.settings import Fraction, OptionalMpp, Seed, Settings, setting

LATER = frozenset({"objective_scale", "tissue_saturation", "min_tissue_area", "max_hole", "remove_ink"})
"""Options that count in the hash only where they are not at their default."""

TILING_ALGORITHM_VERSION = 4
"""Counts up when the same settings come to choose other tiles of a slide or to embed them otherwise: features made before are then
recomputed. 2: grey edges and tinted glass are not tissue, specks of an ink's colour are not ink, tiles black in part are left out. 3: the
same tiles, but before it cuCIM's cache could give those of another slide. 4: a level's scale is proven on its pixels, and no longer the
ratio of its sizes; colours are measured against the slide's own glass, so that red ink, maroon, orange and dust are not tissue and strong
eosin is; TIFF tiles that a decoder warns of are left out, and JPEG 2000's px may differ by 1; the encoder's normalisation is merged into
its first convolution, and the last bit of a feature may differ."""


class Tiling(Settings):
    """All that changes the bytes of a slide's features, beside the slide and the encoder."""

    mpp: float = setting(0.5, "Scale of the tiles in µm/px.", ge=0.1, le=20)
    tile_size: int = setting(224, "Side of the tiles in px at that scale.", ge=32, le=2048)
    min_tissue: Fraction = setting(0.5, "Least fraction of tissue in a tile.")
    max_tiles: int = setting(0, "Tiles of a slide, a seeded sample; 0: every tile.", parameter="TilesPerSlide", ge=0)
    seed: Seed = setting(0, "Seed of the sample.")
    precision: Literal["float32", "float16", "bfloat16"] = setting("float16", "Arithmetic of the encoder.", parameter=True)
    default_mpp: OptionalMpp = setting(None, "Scale of slides that do not say theirs, in µm/px; none: they fail.", parameter=True)
    objective_scale: bool = setting(
        False, "Take 10 µm/px over the objective's power (20×: 0.5) for slides that give a power and no scale."
    )
    tissue_saturation: float = setting(
        0, "Saturation over the slide's own glass above which a px is tissue, of 255; 0: found on each slide.", ge=0, lt=255
    )
    min_tissue_area: float = setting(5000.0, "Pieces of tissue smaller than this, in µm², are dust or loose cells.", ge=0, le=1e9)
    max_hole: float = setting(60.0, "Holes in the tissue up to this many µm across count as tissue.", ge=0, le=1e5)
    remove_ink: bool = setting(True, "Take pen marks out of the tissue; false where a stain has an ink's colour.")

    def hash(self, encoder: str, checkpoint_sha256: str) -> str:
        """16 hexadecimal digits that name these settings with this encoder; the folder that the features lie in."""
        # An option that came later counts only when it is used: features made before it keep their hash.
        options = {
            name: getattr(self, name)
            for name, field in Tiling.model_fields.items()
            if name not in LATER or getattr(self, name) != field.default
        }
        # The keys are part of the hash: another name for one, and no features would be found.
        origin = {"encoder": encoder, "checkpoint": checkpoint_sha256, "schema": 1, "recipe": TILING_ALGORITHM_VERSION}
        text = json.dumps({**options, **origin}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
