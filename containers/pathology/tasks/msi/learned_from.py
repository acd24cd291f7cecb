"""What tells a patient again: the id, and the features of the slides, whatever these are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pathology.contracts.learned_from import Item
from pathology.tasks.msi.dataset import Patient


def items(patients: Iterable[Patient]) -> Iterator[Item]:
    """One for each patient. A feature file holds its slide's name, so that the same slide under another name has another file;
    what the features are by content is the same."""
    for patient in patients:
        hashes = {digest for slide in patient.slides for digest in (slide.sha256, slide.content_sha256) if digest}
        yield Item(patient.patient_id, ids={"patients": (patient.patient_id,)}, contents={"features": sorted(hashes)})
