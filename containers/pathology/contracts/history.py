"""How a training went, epoch by epoch: kept with the model, shown in its report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from pathology.contracts.strict_json import StrictJson

DIGITS = 6
"""Significant digits that are kept of a loss."""


class LossCurve(StrictJson):
    """The mean loss of every epoch of one training, the first epoch first; null where it was not a number.

    ``name`` tells the trainings of one model apart (folds, say), ``best`` is the epoch, counted from 1, whose weights were kept.
    """

    name: str
    best: Annotated[int, Field(ge=1)]
    training: tuple[float | None, ...]
    validation: tuple[float | None, ...]

    @model_validator(mode="after")
    def _of_the_same_epochs(self) -> Self:
        if len(self.training) != len(self.validation) or self.best > len(self.validation):
            raise ValueError(
                f"{len(self.training)} training losses, {len(self.validation)} validation losses and a best epoch of {self.best}"
            )
        return self

    @classmethod
    def of(cls, name: str, best: int, losses: Iterable[tuple[float, float]]) -> Self:
        """From each epoch's training and validation loss."""
        training, validation = zip(*losses, strict=True)
        return cls(name=name, best=best, training=_kept(training), validation=_kept(validation))


def _kept(losses: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(f"{loss:.{DIGITS}g}") if math.isfinite(loss) else None for loss in losses)
