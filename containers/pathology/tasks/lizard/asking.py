"""Test patches as requests to another lizard model: pictures out of the arrays that the evaluation read, scored against their truth."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pathology.asked import Objects
from pathology.contracts.comparison.reading import Fields, StoredEvaluation, table_rows
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.contracts.lizard.patches import DATASET, TABLE
from pathology.contracts.media import IMAGES as PICTURES
from pathology.contracts.media import NPY
from pathology.rerun.asking import Asking, fetched_table, folder_of, items_of
from pathology.rerun.process import Question
from pathology.tasks.lizard.arrays import IMAGES, LABELS
from pathology.tasks.lizard.dataset import Nuclei, read_prepared
from pathology.tasks.lizard.learned_from import items
from pathology.tasks.lizard.rows import patch_rows

TOGETHER = 16
"""As an evaluation takes them."""


class TestPatches:
    """Of the candidate's predictions.csv, out of the arrays of its patches.csv, which are fetched whole."""

    def __init__(self, candidate: StoredEvaluation, objects: Objects, scratch: Path) -> None:
        tables, arrays = scratch / "tables", scratch / "arrays"
        tables.mkdir()
        fetched_table(candidate, objects, "patches", tables).rename(tables / TABLE)
        objects.fetch(folder_of(candidate, "patches").parent / DATASET, tables / DATASET)
        rows, dataset = read_prepared(tables)
        by_name = {row.name: row for row in rows}
        for name in (IMAGES, LABELS):
            objects.fetch(folder_of(candidate, name.removesuffix(".npy")), arrays / name)
        try:
            test = [by_name[name] for name in items_of(candidate, "patch")]
        except KeyError as error:
            raise DataError(f"patch {error.args[0]} is among the predictions and not in {TABLE}") from None
        self._nuclei, self._classes = Nuclei(arrays, test, dataset), dataset.classes
        self.items = list(items(self._nuclei))

    def question(self, index: int, uris: Path) -> Question:
        """A patch's pixels as a PNG."""
        return Question(self._nuclei.rows[index].name, self._nuclei.png(index), PICTURES[0])

    def rows(self, index: int, answer: bytes) -> Iterator[Fields]:
        """The patch's rows: of each class and of all."""
        _, true = self._nuclei[index]
        labels = np.lib.format.read_array(io.BytesIO(answer), allow_pickle=False)
        if labels.shape != true.shape or labels.dtype != true.dtype:
            raise ValueError(f"labels {labels.shape} {labels.dtype}, not {true.shape} {true.dtype}")
        row = self._nuclei.rows[index]
        rows = patch_rows(row.name, row.source, true, labels, self._classes)
        yield from table_rows(NucleiScoreRow.table(rows), row.name)


ASKING = Asking(read=TestPatches, accept=NPY, together=TOGETHER, encoder=True)
