"""Test patches through a task's serving functions, as requests to its endpoint would go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError, PathologyError
from pathology.contracts.media import JSON
from pathology.contracts.patches import PatchRow
from pathology.patches.artefact import PatchModel
from pathology.patches.dataset import content_type, read_content

BATCH = 64
"""Patches decoded and predicted together: 10 MB of pixels, and enough for a GPU to be busy."""


def read_request(row: PatchRow, images: Path, side: int, serving: ModuleType) -> np.ndarray:
    """A patch's file, once it is the one the table names, through ``input_fn``: (side, side, 3) uint8.

    Raises:
        DataError: naming the patch that is gone, changed or not a picture.
    """
    content = read_content(images, row)
    try:
        pixels: np.ndarray = serving.input_fn(content, content_type(row.image), side)
    except PathologyError as error:
        raise DataError(f"patch {row.image}: {error}") from None
    return pixels


def predict(rows: Sequence[PatchRow], images: Path, model: PatchModel[Any], serving: ModuleType) -> Iterator[dict[str, Any]]:
    """The fields of :class:`pathology.contracts.patches.PatchPredictionRow` for each of ``rows``, :data:`BATCH` at a time."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        answers = serving.predict_fn([read_request(row, images, model.config.pixels, serving) for row in batch], model)
        for row, answer in zip(batch, answers, strict=True):
            response: dict[str, Any] = json.loads(serving.output_fn(answer, JSON))
            yield {
                "image": row.image,
                "label": row.label,
                "probability": response["probability"],
                "predicted": int(response["label"] == model.config.labels[1]),
            }
