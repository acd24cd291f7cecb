"""JSON files as pydantic models: no unknown key, no NaN, the same bytes for the same content."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pathology.contracts.errors import DataError
from pathology.contracts.settings import explain


class StrictJson(BaseModel):
    """Base of what a JSON file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def from_json(cls, content: bytes, where: str) -> Self:
        """Parse strict JSON.

        Raises:
            DataError: naming ``where`` and the field that is wrong.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise DataError(explain(error, where)) from None

    def to_json(self) -> bytes:
        """The same bytes for the same content."""
        return (self.model_dump_json(indent=2) + "\n").encode()
