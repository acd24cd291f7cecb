"""Evaluations as they were stored, read for a comparison: evaluation.json, predictions.csv, and what tells test items again."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pathology.contracts.comparison.binary import Answer, Answers, compare_binary
from pathology.contracts.comparison.result import LeftOut, PairedComparison
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.evaluation import EVALUATION, PREDICTIONS, Bounds, Count, Estimate, Seen
from pathology.contracts.settings import explain
from pathology.contracts.uris import Uri

Contents = Mapping[str, Mapping[str, str]]
"""By item, hashes of its content by what they are hashes of."""
Fields = Mapping[str, str]
"""A row of a table by column."""
Read = Callable[[Uri], bytes]
"""An object's bytes; raises DataError where there is none."""


class NotNamedError(DataError):
    """An evaluation does not say which of its test items the model was trained on."""


class _Part(BaseModel):
    """Evaluations of before and after may have other members besides."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class StoredModel(_Part):
    """Which model it was. A binary classifier has two ``labels``, another model ``classes``."""

    version: str
    config_sha256: str
    archive_uri: str
    archive_sha256: str = ""
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def tells_apart(self) -> tuple[str, ...]:
        """In the order of its answers."""
        return self.labels or self.classes


class StoredPoint(_Part):
    """Which operating point it was, and the ``sensitivity`` that it was set to."""

    name: str
    sensitivity: float | None = None


class StoredRow(_Part):
    """A point's specificity on the test items."""

    point: StoredPoint
    specificity: Bounds


class StoredBlock(_Part):
    """What is taken out of the ``pathology`` block; ``threshold``, ``positives`` and ``operating_points`` are a binary classifier's."""

    task: str
    n: Count
    confidence: float
    intervals: Mapping[str, Estimate]
    seen: Seen
    data: Mapping[str, str] = {}
    data_uris: Mapping[str, str] = {}
    model: StoredModel
    threshold: float | None = None
    positives: Count | None = None
    operating_points: Sequence[StoredRow] = ()

    def at_sensitivity(self) -> StoredRow | None:
        """The point that training set to a sensitivity, on items that the model had not learnt from; None where the model keeps none."""
        return next((row for row in self.operating_points if row.point.name == "nominal"), None)


class _File(_Part):
    pathology: StoredBlock


@dataclass(frozen=True, kw_only=True)
class StoredEvaluation:
    """A model's evaluation: its ``name`` in messages, the block, the rows of predictions.csv, and evaluation.json's sha256."""

    name: str
    block: StoredBlock
    rows: Sequence[Fields]
    sha256: str

    @classmethod
    def of(cls, name: str, evaluation: bytes, predictions: bytes) -> StoredEvaluation:
        """From the two files.

        Raises:
            DataError: naming the file that is damaged, and how.
        """
        try:
            block = _File.model_validate_json(evaluation).pathology
        except ValidationError as error:
            raise DataError(explain(error, f"{name}'s {EVALUATION}")) from None
        return cls(
            name=name,
            block=block,
            rows=list(table_rows(predictions, f"{name}'s {PREDICTIONS}")),
            sha256=hashlib.sha256(evaluation).hexdigest(),
        )

    def column(self, name: str) -> list[str]:
        """A column of predictions.csv. Raises DataError when it is not there."""
        if any(row.get(name) is None for row in self.rows):
            raise DataError(f"{self.name}'s {PREDICTIONS}: the column {name!r} is missing")
        return [row[name] for row in self.rows]

    def learned(self, item: str) -> frozenset[str] | None:
        """Test items, of the column ``item``, that the model was trained on, as its evaluation found; None where that is not known.

        Items in common are test items of both, and each evaluation has held all of its own against the list in the model's artefact.

        Raises:
            NotNamedError: when there are more than evaluation.json names, and not all.
        """
        seen = self.block.seen
        if seen.seen is None:
            return None
        if seen.seen == seen.test_items:
            return frozenset(self.column(item))
        if seen.seen > len(seen.names):
            raise NotNamedError(
                f"{self.name} was trained on {seen.seen} of its {seen.test_items} test {seen.unit}, and {EVALUATION} does not say on which"
            )
        return frozenset(seen.names)

    def table(self, read: Read, name: str) -> list[Fields]:
        """Rows of a table that the evaluation read, by its name there; none where it is gone or has another hash by now."""
        try:
            content = self.content(read, name)
        except (DataError, RequestError):
            return []
        return list(table_rows(content, self.block.data_uris[name]))

    def content(self, read: Read, name: str) -> bytes:
        """A file that the evaluation read, by its name there.

        Raises:
            DataError: when it does not say where that lies, and when it is gone or has another hash by now.
        """
        uri = self.block.data_uris.get(name)
        if uri is None:
            raise DataError(f"{self.name}'s {EVALUATION} does not say where its {name} lie")
        content = read(Uri.parse(uri))
        if hashlib.sha256(content).hexdigest() != self.block.data.get(f"{name}_sha256"):
            raise DataError(f"{uri}: is another than {self.name}'s evaluation read (its sha256 differs)")
        return content


def table_rows(content: bytes, where: str) -> Iterator[Fields]:
    """Rows of a table by column. Raises DataError when it is no text, has no row, or a row of another length."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{where}: is damaged, no text") from None
    number = 1
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=2):
        if None in row or None in row.values():
            raise DataError(f"{where}, line {number}: it has not as many values as the header")
        yield row
    if number == 1:
        raise DataError(f"{where}: is empty")


def other_classes(first: StoredEvaluation, second: StoredEvaluation) -> str:
    """Why two models cannot be compared that tell other classes apart; empty where they tell the same."""
    ours, theirs = (each.block.model.tells_apart for each in (first, second))
    return "" if ours == theirs else f"one tells {_listed(ours)} apart, the other {_listed(theirs)}"


def _listed(classes: tuple[str, ...]) -> str:
    return ", ".join(classes) or "classes that it does not name"


def shared_contents(ours: Contents, theirs: Contents) -> tuple[dict[str, str], dict[str, str]]:
    """Of both sides a hash by item, of the same thing: the first that both have. Items without one are left out."""
    first, second = {}, {}
    for item, known in ours.items():
        kind = next((kind for kind in known if known[kind] and theirs.get(item, {}).get(kind)), None)
        if kind is not None:
            first[item], second[item] = f"{kind} {known[kind]}", f"{kind} {theirs[item][kind]}"
    return first, second


def binary_answers(evaluated: StoredEvaluation, contents: Mapping[str, str], *, item: str, group: str | None = None) -> Answers:
    """A binary classifier's, by the columns that name items and, where they have any, their groups.

    Raises:
        DataError: when predictions.csv lacks a column, holds no number where there should be one, or other items than evaluation.json
            counts.
    """
    columns = [evaluated.column(name) for name in (item, "label", "probability")]
    groups = evaluated.column(group) if group is not None else [""] * len(evaluated.rows)
    where = f"{evaluated.name}'s {PREDICTIONS}"
    try:
        rows = [
            Answer(item=name, label=int(label), probability=float(probability), content=contents.get(name, ""), group=of)
            for name, label, probability, of in zip(*columns, groups, strict=True)
        ]
    except ValueError as error:
        raise DataError(f"{where}: is damaged ({error})") from None
    block, positives = evaluated.block, sum(row.label for row in rows)
    if block.threshold is None or (block.n, block.positives) != (len(rows), positives):
        raise DataError(
            f"{where}: holds {len(rows)} items, {positives} positive, and {EVALUATION} says {block.n}, {block.positives} positive"
        )
    return Answers(name=evaluated.name, threshold=block.threshold, rows=rows, learned=evaluated.learned(item))


@dataclass(frozen=True, kw_only=True)
class Comparable:
    """How two models of a task are compared from their stored evaluations: by ``measure``, called ``title``, on items counted in ``unit``
    that stand in the column ``item``.

    ``contents`` finds what is known of items' contents, ``answers`` makes of an evaluation and one hash an item what ``compare`` takes
    two of, with the level of the intervals.
    """

    task: str
    measure: str
    title: str
    unit: str
    item: str
    contents: Callable[[StoredEvaluation, Read], Contents]
    answers: Callable[[StoredEvaluation, Mapping[str, str]], Any]
    compare: Callable[[Any, Any, float], PairedComparison]

    def compared(self, first: StoredEvaluation, second: StoredEvaluation, read: Read) -> PairedComparison:
        """On the items that both answered; not comparable where they tell other classes apart.

        Raises:
            DataError: naming what is damaged, and whose it is.
        """
        if reason := other_classes(first, second):
            return self.not_comparable(first.name, second.name, reason, first.block.confidence)
        same = shared_contents(self.contents(first, read), self.contents(second, read))
        ours, theirs = (self.answers(each, known) for each, known in zip((first, second), same, strict=True))
        return self.compare(ours, theirs, first.block.confidence)

    def not_comparable(self, first: str, second: str, reason: str, confidence: float) -> PairedComparison:
        """Nothing, for a ``reason``, between models called so."""
        return PairedComparison(
            first=first,
            second=second,
            unit=self.unit,
            comparable=False,
            reason=reason,
            n=0,
            positives=None,
            by_id_alone=0,
            left_out=LeftOut(),
            learning_unknown=[],
            confidence=confidence,
            scores={},
            agreement=None,
            different=[],
            different_of=0,
            groups=[],
        )


def binary_comparable(
    task: str, *, unit: str, item: str, contents: Callable[[StoredEvaluation, Read], Contents], group: str | None = None
) -> Comparable:
    """Of binary classifiers: by AUROC, with items and their groups in these columns of predictions.csv."""
    return Comparable(
        task=task,
        measure="auroc",
        title="AUROC",
        unit=unit,
        item=item,
        contents=contents,
        answers=partial(binary_answers, item=item, group=group),
        compare=partial(_compare_binary, unit),
    )


def _compare_binary(unit: str, first: Answers, second: Answers, confidence: float) -> PairedComparison:
    return compare_binary(first, second, unit=unit, confidence=confidence)


PATCH = "image"
"""The column that names a patch in patches.csv and predictions.csv."""


def patch_contents(evaluated: StoredEvaluation, read: Read) -> Contents:
    """Of each patch, its file."""
    return {row[PATCH]: {"sha256": row["sha256"]} for row in evaluated.table(read, "patches")}
