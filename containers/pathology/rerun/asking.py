"""What a task makes of a candidate's test for asking another model the same: its items, the requests, a row of each answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pathology.asked import Objects
from pathology.contracts.comparison.reading import Fields, StoredEvaluation
from pathology.contracts.errors import DataError
from pathology.contracts.learned_from import Item
from pathology.contracts.uris import Uri
from pathology.rerun.process import Question


class TestItems(Protocol):
    """A candidate's test items, in the order in which they are asked about."""

    @property
    def items(self) -> Sequence[Item]:
        """What tells each again in a list of what a model learnt from."""

    def question(self, index: int, uris: Path) -> Question:
        """The request of an item. What it names by URI is put below ``uris``. Raises DataError when the item is gone or changed."""

    def rows(self, index: int, answer: bytes) -> Iterator[Fields]:
        """The rows of predictions.csv that an answer makes. Raises DataError for an answer of another form."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a task's models are asked: by which test items, for answers of the type ``accept``, so many ``together`` (0: one by one, by a
    ``predict_fn`` that takes no list), and whether they need an ``encoder``."""

    read: Callable[[StoredEvaluation, Objects, Path], TestItems]
    accept: str
    together: int
    encoder: bool


def fetched_table(candidate: StoredEvaluation, objects: Objects, name: str, folder: Path) -> Path:
    """A table that the candidate's evaluation read, by its name there, as the file ``folder/<name>.csv``.

    Raises:
        DataError: when it is gone or another by now.
    """
    path = folder / f"{name}.csv"
    path.write_bytes(candidate.content(objects.read, name))
    return path


def folder_of(candidate: StoredEvaluation, name: str) -> Uri:
    """Where data lie that the candidate's evaluation read. Raises DataError when it does not say."""
    uri = candidate.block.data_uris.get(name)
    if uri is None:
        raise DataError(f"{candidate.name}'s evaluation does not say where its {name} lie")
    return Uri.parse(uri)


def items_of(candidate: StoredEvaluation, column: str) -> Sequence[str]:
    """The candidate's test items in order, each once."""
    return list(dict.fromkeys(candidate.column(column)))
