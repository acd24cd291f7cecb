"""What stands beside features: the sidecar of a slide's file, and the encoder's card beside its checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pathology.contracts.strict_json import StrictJson

SCHEMA_VERSION = 1
Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]


class Sidecar(StrictJson):
    """``<slide_id>.json``: a slide is finished when this says so and its file has this hash.

    ``status`` ok has a feature file with ``sha256``; empty found no tissue; failed has a ``reason``. ``bytes`` and ``md5``
    are the slide's own, ``cohort_mpp`` the cohort table's, so that a replaced slide or a corrected MPP is extracted again.
    """

    schema_version: Literal[1] = 1
    slide_id: str
    status: Literal["ok", "empty", "failed"]
    reason: str = ""
    settings_hash: str
    slide_uri: str
    bytes: int
    md5: str = ""
    cohort_mpp: float | None = None
    mpp: float | None = None
    mpp_source: str = ""
    tiles: int | None = None
    failed_tiles: int | None = None
    seconds: float | None = None
    reader: str = ""
    sha256: str = ""


class EncoderCard(StrictJson):
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


def sha256_of(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
