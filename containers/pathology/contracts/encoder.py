"""The encoder's manifest, ``encoder.json`` beside its checkpoint."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pathology.contracts.hashes import Sha256
from pathology.contracts.strict_json import StrictJson

MANIFEST = "encoder.json"


class EncoderManifest(StrictJson):
    """``encoder.json`` beside a checkpoint: how to build the encoder, and the hash its weights must have.

    ``architecture`` and ``arguments`` go to ``timm.create_model``; ``pixels`` is the side of its input in px, ``mpp`` the
    scale it was trained at in µm/px, ``mean`` and ``std`` its normalisation; ``published`` is False for the tiny seeded one.
    """

    name: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9.-]{0,62}\z")]
    architecture: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    checkpoint: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]*\z")] = "checkpoint.pth"
    sha256: Sha256
    pixels: int = 224
    mpp: float = 0.5
    mean: tuple[float, float, float] = (0.707223, 0.578729, 0.703617)
    std: tuple[float, float, float] = (0.211883, 0.230117, 0.177517)
    dimension: int
    published: bool
    remark: str = ""
