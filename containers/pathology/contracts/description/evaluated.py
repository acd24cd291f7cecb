"""As much of any task's evaluation.json as a model version says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from pathology.contracts.encoder import EncoderSource
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Count, Estimate
from pathology.contracts.runs import RunOutput
from pathology.contracts.settings import explain

_PLACES = frozenset({"computed_by", "data_uris"})
"""What of the ``pathology`` block says where something lies, and changes where the same is computed again."""


class _Part(BaseModel):
    """Other members are a task's own."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class _Encoder(_Part):
    name: str
    sha256: str
    origin: str
    source: EncoderSource | None = None


class _Seen(_Part):
    unit: str
    test_items: Count
    seen: Count | None


class _Training(_Part):
    code: str | None = None
    settings: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)


class _Model(_Part):
    archive_uri: str
    archive_sha256: str
    serving_code: str
    training: _Training


class _Baseline(_Part):
    fitted_on: Count | None = Field(None, validation_alias=AliasChoices("fitted_on", "fitted_patches"))
    positives: Count | None = None


class Evaluated(_Part):
    """The ``pathology`` block, of whichever task."""

    n: Count
    positives: Count | None = None
    seen: _Seen
    confidence: float
    intervals: dict[str, Estimate]
    interval_methods: dict[str, str] = Field(default_factory=dict)
    encoder: _Encoder
    computed_by: RunOutput | None = None
    data: dict[str, str]
    data_uris: dict[str, str]
    warnings: list[str]
    model: _Model
    baseline: _Baseline | None = None

    @classmethod
    def of(cls, evaluation: Mapping[str, Any]) -> Self:
        """Out of the whole file.

        Raises:
            DataError: naming the member that is not as it should be.
        """
        try:
            return cls.model_validate(evaluation.get("pathology"))
        except ValidationError as error:
            raise DataError(explain(error, "evaluation.json: pathology")) from None


def evaluation_sha256(evaluation: Mapping[str, Any]) -> str:
    """The hash of what an evaluation says, wherever that lies: of the artefact's sha256, the data's, settings, scores and warnings."""
    block = {name: value for name, value in evaluation["pathology"].items() if name not in _PLACES}
    block["model"] = {name: value for name, value in block["model"].items() if name != "archive_uri"}
    content = json.dumps({**evaluation, "pathology": block}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()
