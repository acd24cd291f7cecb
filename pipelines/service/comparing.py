"""Two models as the registry and executions name them, compared on the test items that both answered."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pathology.contracts.binary import RocCurve
from pathology.contracts.comparison.binary import Answers
from pathology.contracts.comparison.items import Matched
from pathology.contracts.comparison.reading import (
    Comparable,
    Contents,
    NotNamedError,
    StoredEvaluation,
    other_classes,
    shared_contents,
)
from pathology.contracts.comparison.result import PairedComparison
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.evaluation import EVALUATION, PREDICTIONS, Seen
from pathology.contracts.uris import Uri

from pipelines.service import executions
from pipelines.service.curves import roc_curve
from pipelines.service.learned import MARKS, list_in
from pipelines.service.named import version_or_execution
from pipelines.service.results import evaluation_folder, location
from pipelines.service.session import Session
from pipelines.service.version import Version
from pipelines.tasks import TRAIN, task_spec


@dataclass(frozen=True, kw_only=True)
class Model:
    """What one side names: a ``version`` with its ``status``, None of an execution; the ``execution`` that it comes from, None where
    that is not known; and where its ``evaluation`` lies."""

    name: str
    arn: str
    version: int | None
    status: str | None
    execution: str | None
    evaluation: Uri

    def as_json(self, session: Session) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "arn": self.arn,
            "version": self.version,
            "status": self.status,
            "execution": self.execution,
            "evaluation": location(session, self.evaluation),
        }


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two ``models`` of a task: their ``comparison``, their ROC ``curves`` on the items that were compared, where the task has
    such, and ``notes`` on what could not be looked at. ``images`` is the folder of the first model's test items where these are pictures,
    ``contents`` the sha256 of each that is known."""

    task: str
    models: tuple[Model, Model]
    comparison: PairedComparison
    curves: tuple[RocCurve, ...]
    notes: tuple[str, ...]
    images: Uri | None
    contents: Mapping[str, str]

    def as_json(self, session: Session) -> dict[str, Any]:
        """For ``--json``."""
        first, second = (model.as_json(session) for model in self.models)
        return {
            "task": self.task,
            "models": {"first": first, "second": second},
            "notes": list(self.notes),
            **self.comparison.model_dump(),
        }


def named(session: Session, task: str, given: str, kind: str = TRAIN) -> Model:
    """The model that a person names: a version by number, ARN, ``latest`` or ``approved``, or an execution by id or ARN.

    Raises:
        RequestError: when there is none, or it is another task's.
        DataError: when it has no evaluation.
    """
    found = version_or_execution(session, task, given, kind)
    return _execution(session, found) if isinstance(found, str) else _version(found)


def _version(found: Version) -> Model:
    if found.evaluation is None or found.evaluation_uri is None:
        raise DataError(str(found.trouble))
    return Model(
        name=f"version {found.number}",
        arn=found.arn,
        version=found.number,
        status=found.status,
        execution=found.execution,
        evaluation=Uri.parse(found.evaluation_uri),
    )


def _execution(session: Session, arn: str) -> Model:
    state = executions.get_state(session, arn)
    folder = evaluation_folder(session, state)
    if folder is None:
        raise DataError(f"execution {state.identity} ({state.status}) has no evaluation: no evaluation step has succeeded in it")
    return Model(
        name=f"execution {state.identity}",
        arn=arn,
        version=None,
        status=None,
        execution=state.identity,
        evaluation=folder / EVALUATION,
    )


def compare(session: Session, task: str, first: Model, second: Model) -> Compared:
    """Compare them.

    Raises:
        RequestError: when one is another task's.
        DataError: when a file is gone or damaged; it names the file.
    """
    how, models = task_spec(task).comparison(), (first, second)
    notes: list[str] = []
    read = [_evaluated(session, task, how, model) for model in models]
    contents = [_named(session, model, how.contents, each, session.store.read) for model, each in zip(models, read, strict=True)]
    known = [_with_seen(session, how, each, of, notes) for each, of in zip(read, contents, strict=True)]
    confidence = known[0].block.confidence

    def compared(comparison: PairedComparison, curves: tuple[RocCurve, ...] = ()) -> Compared:
        images = known[0].block.data_uris.get("images")
        return Compared(
            task=task,
            models=models,
            comparison=comparison,
            curves=curves,
            notes=tuple(notes),
            images=Uri.parse(images) if images else None,
            contents={item: hashes["sha256"] for item, hashes in contents[0].items() if hashes.get("sha256")},
        )

    if reason := other_classes(*read):
        return compared(how.not_comparable(first.name, second.name, reason, confidence))
    same = shared_contents(contents[0], contents[1])
    answers = [_named(session, model, how.answers, each, of) for model, each, of in zip(models, known, same, strict=True)]
    comparison = how.compare(answers[0], answers[1], confidence)
    curves = tuple(_curves(answers, how)) if comparison.comparable else ()
    return compared(comparison, curves)


def _evaluated(session: Session, task: str, how: Comparable, model: Model) -> StoredEvaluation:
    """What the evaluation left behind."""
    folder = model.evaluation.parent
    files = [_named(session, model, session.store.read, folder / name) for name in (EVALUATION, PREDICTIONS)]
    found: StoredEvaluation = _named(session, model, StoredEvaluation.of, model.name, *files)
    if found.block.task != how.task:
        raise RequestError(
            f"{model.name} was evaluated as a model of {found.block.task}, and --task is {task}: compare two of one task"
        )
    _named(session, model, found.column, how.item)
    return found


def _named(session: Session, model: Model, ask: Any, *given: Any) -> Any:
    """What ``ask`` answers; what it says of the model's files comes with the folder that they lie in.

    Raises:
        DataError: when a file is damaged.
    """
    try:
        return ask(*given)
    except NotNamedError:
        raise
    except (DataError, csv.Error) as error:
        raise DataError(f"{error} (of {model.name}, in {location(session, model.evaluation.parent)})") from None


def _with_seen(
    session: Session, how: Comparable, read: StoredEvaluation, contents: Contents, notes: list[str]
) -> StoredEvaluation:
    """With all test items that the model was trained on: evaluation.json names a few, and the list in the artefact knows the others."""
    with suppress(NotNamedError):
        read.learned(how.item)
        return read
    seen = read.block.seen
    try:
        known = list_in(session, Uri.parse(read.block.model.archive_uri), read.block.model.config_sha256)
    except (DataError, RequestError) as error:
        known = None
        notes.append(f"{read.name}: {error}")
    if known is None:
        full = Seen(unit=seen.unit, test_items=seen.test_items, seen=None, names=[])
    else:
        names = sorted(
            {row[how.item] for row in read.rows if any(map(known.kinds_of, _marks(row, contents.get(row[how.item], {}))))}
        )
        full = Seen(unit=seen.unit, test_items=seen.test_items, seen=len(names), names=names)
    return replace(read, block=read.block.model_copy(update={"seen": full}))


def _marks(row: Mapping[str, str], contents: Mapping[str, str]) -> Iterator[str]:
    """What the list may know an item by: ids and names of its row, and hashes of its contents."""
    yield from (row[column] for column in MARKS if row.get(column))
    yield from (part for hashes in contents.values() for part in hashes.split())


def _curves(answers: Sequence[Any], how: Comparable) -> Iterator[RocCurve]:
    """Of binary classifiers, on the items that were compared."""
    if not all(isinstance(each, Answers) for each in answers):
        return
    first, second = answers
    items = Matched.of(first.side(), second.side(), how.unit).items
    for each in answers:
        yield roc_curve(each, items)
