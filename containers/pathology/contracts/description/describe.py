"""The Describe step: its hyperparameter, and description.json."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pathology.contracts.description.schema import ModelCard
from pathology.contracts.settings import Settings, setting
from pathology.contracts.strict_json import StrictJson

FILE = "description.json"


class DescribeVersion(Settings):
    """A registered model version and its evaluation.json → its card, life cycle and source in the registry, and description.json."""

    version: str = setting(..., "The version's ARN.", min_length=1)


class Description(StrictJson):
    """What was done: the members ``written``, those that were ``there_already``, and in ``warnings`` whatever was refused.

    The version is the ``same_as`` the one of that number when their evaluations have the same ``evaluation_sha256``; null where it is
    the same as none of the ``compared_with`` versions before it.
    """

    version: str
    evaluation_sha256: str
    same_as: int | None
    compared_with: Annotated[int, Field(ge=0)]
    written: list[str]
    there_already: list[str]
    warnings: list[str]
    card: ModelCard
