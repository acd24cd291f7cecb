"""The encoder's manifest, ``encoder.json`` beside its checkpoint, and how far an encoder's name can be believed."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from pathology.contracts.hashes import Sha256
from pathology.contracts.strict_json import StrictJson

MANIFEST = "encoder.json"
UNRECORDED = "described before origins were recorded; infra/datasets/download_h_optimus_0.sh --record-origin records one"


class EncoderSource(StrictJson):
    """Where a checkpoint was fetched: the ``repository`` at ``revision``, a commit, states ``sha256`` of it."""

    repository: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}\z")]
    revision: Annotated[str, Field(pattern=r"\A[0-9a-f]{40}\z")]
    sha256: Sha256


class NamedEncoder(StrictJson):
    """An encoder wherever it is named: the checkpoint's ``sha256``, and what the ``name`` stands on.

    ``source`` is the publisher's own hash of the checkpoint; without it a person gave the name, and nothing proves it.
    ``placeholder`` is True for seeded random weights; ``remark`` is free text. Files of before say ``published`` instead: False was
    a placeholder, and True stood on the shapes of the weights, which prove nothing.
    """

    name: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9.-]{0,62}\z")]
    sha256: Sha256
    placeholder: bool = False
    source: EncoderSource | None = None
    remark: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "published" not in values:
            return values
        published = values["published"]
        if not isinstance(published, bool):
            raise ValueError(f"published is true or false, not {published!r}")
        rest = {key: value for key, value in values.items() if key != "published"}
        if published and not rest.get("source") and not rest.get("remark"):
            rest["remark"] = UNRECORDED
        return {"placeholder": not published, **rest}

    @model_validator(mode="after")
    def _believable(self) -> Self:
        if self.source and self.source.sha256 != self.sha256:
            raise ValueError(
                f"its source states the sha256 {self.source.sha256[:12]}… and the checkpoint's is {self.sha256[:12]}…: "
                "describe the checkpoint again"
            )
        if self.source and self.placeholder:
            raise ValueError("a placeholder has no source: describe the checkpoint again")
        return self

    @property
    def verified(self) -> bool:
        """Whether the checkpoint is the one whose hash the publisher states."""
        return self.source is not None

    @property
    def origin(self) -> str:
        """What the name stands on, in words and in the characters that the model registry takes."""
        if self.source:
            return f"verified: {self.source.repository} at {self.source.revision}"
        return "placeholder with seeded weights" if self.placeholder else "not verified: named by hand"


class EncoderManifest(NamedEncoder):
    """``encoder.json`` beside a checkpoint: how to build the encoder, and the hash its weights must have.

    ``architecture`` and ``arguments`` go to ``timm.create_model``; ``pixels`` is the side of its input in px, ``mpp`` the
    scale it was trained at in µm/px, ``mean`` and ``std`` its normalisation.
    """

    architecture: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    checkpoint: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]*\z")] = "checkpoint.pth"
    pixels: int = 224
    mpp: float = 0.5
    mean: tuple[float, float, float] = (0.707223, 0.578729, 0.703617)
    std: tuple[float, float, float] = (0.211883, 0.230117, 0.177517)
    dimension: int
