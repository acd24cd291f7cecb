"""Test patches as requests to another classifier of patches: their files, as the evaluation read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pathology.asked import Objects
from pathology.contracts.comparison.reading import PATCH, Fields, StoredEvaluation
from pathology.contracts.errors import DataError
from pathology.contracts.media import JSON
from pathology.contracts.patches import PatchRow
from pathology.patches.dataset import content_type, read_content
from pathology.patches.learned_from import items
from pathology.rerun.asking import Asking, fetched_table, folder_of
from pathology.rerun.process import Question

TOGETHER = 64
"""As an evaluation takes them."""


class TestPatches:
    """Of the candidate's predictions.csv, with the files of its patches.csv, whose rows are of this ``kind``."""

    def __init__(self, kind: type[PatchRow], candidate: StoredEvaluation, objects: Objects, scratch: Path) -> None:
        by_name = {row.image: row for row in kind.read(fetched_table(candidate, objects, "patches", scratch))}
        self._rows, self._objects, self._images = candidate.rows, objects, folder_of(candidate, "images")
        self._folder = scratch / "images"
        try:
            self._patches = [by_name[row[PATCH]] for row in candidate.rows]
        except KeyError as error:
            raise DataError(f"patch {error.args[0]} is among the predictions and not in patches.csv") from None
        self.items = list(items(self._patches))

    def question(self, index: int, uris: Path) -> Question:
        """A patch's file."""
        patch = self._patches[index]
        path = self._folder / patch.image
        try:
            self._objects.fetch(self._images / patch.image, path)
        except DataError as error:
            raise DataError(f"patch {patch.image}: its file is gone ({error})") from None
        content = read_content(self._folder, patch)
        path.unlink()
        return Question(patch.image, content, content_type(patch.image))

    def rows(self, index: int, answer: bytes) -> Iterator[Fields]:
        """The patch's row with this answer."""
        yield {**self._rows[index], "probability": str(float(json.loads(answer)["probability"]))}


def patch_asking(kind: type[PatchRow]) -> Asking:
    """Of a task whose patches.csv has rows of this ``kind``."""
    return Asking(read=partial(TestPatches, kind), accept=JSON, together=TOGETHER, encoder=True)
