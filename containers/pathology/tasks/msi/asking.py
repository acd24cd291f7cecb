"""Test patients as requests to another msi model: their feature files by URI and hash, as the evaluation read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pathology.asked import Objects
from pathology.contracts.cohort import SlideRow
from pathology.contracts.comparison.reading import Fields, StoredEvaluation
from pathology.contracts.errors import DataError
from pathology.contracts.media import JSON
from pathology.contracts.msi.evaluate import SEPARATOR
from pathology.contracts.uris import Uri
from pathology.rerun.asking import Asking, fetched_table
from pathology.rerun.process import Question
from pathology.tasks.msi.dataset import Patient
from pathology.tasks.msi.learned_from import items


class TestPatients:
    """Of the candidate's predictions.csv, with the feature files of its slides.csv."""

    def __init__(self, candidate: StoredEvaluation, objects: Objects, scratch: Path) -> None:
        by_id = {row.slide_id: row for row in SlideRow.read(fetched_table(candidate, objects, "slides", scratch))}
        self._rows, self._objects = candidate.rows, objects
        try:
            self._patients = [
                Patient(row["patient_id"], row["site"], int(row["label"]), None, tuple(by_id[name] for name in _slides(row)))
                for row in candidate.rows
            ]
        except KeyError as error:
            raise DataError(f"slide {error.args[0]} is among the predictions and not in slides.csv") from None
        self.items = list(items(self._patients))
        self._placed: list[Path] = []

    def question(self, index: int, uris: Path) -> Question:
        """A patient's request; the feature files are put below ``uris``, in place of the patient's before."""
        while self._placed:
            self._placed.pop().unlink()
        patient, slides = self._patients[index], []
        for slide in patient.slides:
            uri = Uri.parse(slide.features)
            path = uri.under(uris)
            try:
                self._placed.append(self._objects.fetch(uri, path))
            except DataError as error:
                raise DataError(f"slide {slide.slide_id}: its feature file is gone ({error})") from None
            slides.append({"slide_id": slide.slide_id, "features": slide.features, "sha256": slide.sha256})
        return Question(patient.patient_id, json.dumps({"slides": slides}).encode(), JSON)

    def rows(self, index: int, answer: bytes) -> Iterator[Fields]:
        """The patient's row with this answer."""
        yield {**self._rows[index], "probability": str(float(json.loads(answer)["probability"]))}


def _slides(row: Fields) -> list[str]:
    return row["slide_ids"].split(SEPARATOR)


ASKING = Asking(read=TestPatients, accept=JSON, together=0, encoder=False)
