"""Text that the model registry takes as a value of a version's metadata.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html, CustomerMetadataProperties.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

MAX_LENGTH = 256
CUT = "..."


def _is_taken(character: str) -> bool:
    """Whether ``[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]`` has it."""
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"


def _checked(text: str) -> str:
    if not 1 <= len(text) <= MAX_LENGTH:
        raise ValueError(f"{len(text)} characters, and the registry takes 1 to {MAX_LENGTH}")
    if refused := sorted({character for character in text if not _is_taken(character)}):
        raise ValueError(f"the registry takes letters, digits, blanks and _.:/=+-@, not {refused[0]!r}")
    return text


RegistryText = Annotated[str, AfterValidator(_checked)]
"""1 to 256 letters, digits, blanks and ``_.:/=+-@``."""


def registry_text(text: str) -> str:
    """``text`` with ``_`` for each character that the registry does not take, and cut where it is too long."""
    characters = (character if _is_taken(character) else "_" for character in unicodedata.normalize("NFC", text))
    taken = "".join(characters) or "_"
    return taken if len(taken) <= MAX_LENGTH else taken[: MAX_LENGTH - len(CUT)] + CUT


def evaluation_uri(described: Mapping[str, Any]) -> str | None:
    """Where the evaluation.json of a version lies, as DescribeModelPackage answers it; None where it names none."""
    statistics = described.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    uri: str | None = statistics.get("S3Uri")
    return uri


def archive_uri(described: Mapping[str, Any]) -> str | None:
    """Where the model.tar.gz of a version lies, as DescribeModelPackage answers it; None where it names none."""
    containers = described.get("InferenceSpecification", {}).get("Containers", [])
    uri: str | None = containers[0].get("ModelDataUrl") if containers else None
    return uri
