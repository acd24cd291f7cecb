"""Test patients as requests to another msi model: their feature files by URI and hash, as the evaluation read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
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


def request(slides: Iterable[SlideRow], objects: Objects, uris: Path, placed: list[Path]) -> bytes:
    """One patient as a request; the feature files are put below ``uris`` and noted in ``placed``.

    Raises:
        DataError: naming the slide whose feature file is gone.
    """
    asked = []
    for slide in slides:
        uri = Uri.parse(slide.features)
        try:
            placed.append(objects.fetch(uri, uri.under(uris)))
        except DataError as error:
            raise DataError(f"slide {slide.slide_id}: its feature file is gone ({error})") from None
        asked.append({"slide_id": slide.slide_id, "features": slide.features, "sha256": slide.sha256})
    return json.dumps({"slides": asked}).encode()


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
        patient = self._patients[index]
        return Question(patient.patient_id, request(patient.slides, self._objects, uris, self._placed), JSON)

    def rows(self, index: int, answer: bytes) -> Iterator[Fields]:
        """The patient's row with this answer."""
        yield {**self._rows[index], "probability": str(float(json.loads(answer)["probability"]))}


def _slides(row: Fields) -> list[str]:
    return row["slide_ids"].split(SEPARATOR)


ASKING = Asking(read=TestPatients, accept=JSON, together=0, encoder=False)
