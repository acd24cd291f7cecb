"""cohorts/settings.json below a settings hash: the settings that the hash stands for, so that who predicts later can use the same."""

from __future__ import annotations

from typing import Self

from pathology.contracts.extraction.tiling import TILING_ALGORITHM_VERSION, Tiling
from pathology.contracts.strict_json import StrictJson

MADE_WITH = "cohorts/settings.json"
"""Below ``<features>/<settings hash>/``; no slide's sidecar lies in that folder."""


class MadeWith(StrictJson):
    """What features were made with: the encoder, the algorithm's version, and the settings as a job gets them."""

    encoder: str
    checkpoint_sha256: str
    algorithm: int
    settings: dict[str, str]

    @classmethod
    def of(cls, tiling: Tiling, encoder: str, checkpoint_sha256: str) -> Self:
        """Of a job's settings, whatever else is among them."""
        fields = Tiling.model_validate(tiling.model_dump(include=set(Tiling.model_fields)))
        return cls(
            encoder=encoder,
            checkpoint_sha256=checkpoint_sha256,
            algorithm=TILING_ALGORITHM_VERSION,
            settings=fields.as_strings(),
        )
