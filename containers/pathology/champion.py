"""The frame of every compare command: the champion, the latest approved version, asked for and read; the decision; the ledger of looks."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from pathology.asked import NotAnsweredError, Objects, answered
from pathology.contracts.comparison.file import COMPARISON, AnsweredBy, ComparisonFile, Look
from pathology.contracts.comparison.gate import CompareJob, GateDecision, ThresholdResult, decide, threshold_result
from pathology.contracts.comparison.reading import Comparable, NotNamedError, Read, StoredEvaluation
from pathology.contracts.comparison.result import PairedComparison
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.evaluation import EVALUATION, PREDICTIONS
from pathology.contracts.refusals import is_missing
from pathology.contracts.registry import archive_uri, evaluation_uri, registry_text
from pathology.contracts.storage import Store, atomic_write
from pathology.contracts.uris import Uri
from pathology.job import Job
from pathology.registry import open_registry
from pathology.rerun.asking import Asking
from pathology.rerun.version import Registered, ask_again
from pathology.storage import open_store

CANDIDATE = "the candidate"
LISTED = 100
"""Items that differ in comparison.json, which Pipelines reads whole for a condition."""
APPROVED = "Approved"
ARTEFACT_SHARE = 2 / 3
"""Of the job's time, for the champion's artefact: what follows has to end before the service ends the job, or the run fails."""
SPECIFICITY = "specificity_at_sensitivity"
_TRIES = 2
"""A version that is deleted between being listed and being described is asked for once more."""


@dataclass(frozen=True)
class Champion:
    """The approved version: its ``name`` in messages, its ARN, and what Describe answers of it."""

    name: str
    arn: str
    described: dict[str, Any]

    @property
    def evaluation(self) -> Uri | None:
        """Where its evaluation.json lies; None where it names none."""
        uri = evaluation_uri(self.described)
        return Uri.parse(uri) if uri else None

    def registered(self, before: StoredEvaluation | None) -> Registered:
        """What it takes to run its artefact; ``before`` is its evaluation, where there is one.

        Raises:
            DataError: when nothing says where the artefact lies.
        """
        metadata = self.described.get("CustomerMetadataProperties", {})
        uri = archive_uri(self.described) or (before and before.block.model.archive_uri)
        if not uri:
            raise DataError(f"{self.name} names no artefact")
        return Registered(
            name=self.name,
            archive=Uri.parse(uri),
            encoder=Uri.parse(metadata["encoder_uri"]) if metadata.get("encoder_uri") else None,
            model_version=metadata.get("model_version", ""),
            archive_sha256="" if before is None else before.block.model.archive_sha256,
        )


@dataclass(frozen=True)
class Compared:
    """A comparison with the champion; by what it answered, null where the two are not comparable, how many of the candidate's items, and
    what must be said of that."""

    comparison: PairedComparison
    by: AnsweredBy | None = None
    items: int | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, comparison: PairedComparison, by: AnsweredBy, candidate: StoredEvaluation, task: Comparable) -> Compared:
        """With the number of items that the champion answered."""
        if not comparison.comparable:
            return cls(comparison)
        left_out = comparison.left_out
        return cls(comparison, by, len(set(candidate.column(task.item))) - left_out.only_first - left_out.other_content)


def judge(job: Job, task: Comparable, asking: Asking) -> None:
    """Compare, decide, write the look, then comparison.json to the output ``comparison``. A candidate that fails is no failed job.

    Raises:
        DataError: when the candidate's evaluation is damaged.
        NotAnsweredError: when the registry or an object may not be read.
    """
    settings, store = job.hyperparameters(CompareJob), open_store()
    folder = job.input("evaluation")
    evaluation = (folder / EVALUATION).read_bytes()
    candidate = StoredEvaluation.of(CANDIDATE, evaluation, (folder / PREDICTIONS).read_bytes())
    with suppress(NotNamedError):  # the comparison says so; damage to the candidate's own is an error, never "not comparable"
        task.answers(candidate, {})
    if task.measure not in candidate.block.intervals:
        raise DataError(f"{EVALUATION}: it has no interval of {task.measure}: evaluate the model again")
    asked = thresholds(settings, candidate, task)
    champion = find_champion(open_registry(), settings.group)
    compared, comparison = None, None
    if champion is not None:
        limit_seconds = settings.max_minutes * 60 * ARTEFACT_SHARE
        compared = compare_with(champion, candidate, task, asking, Objects(store), limit_seconds)
        comparison = compared.comparison
    decision = decide(settings, asked, comparison, measure=task.measure, title=task.title)
    if compared is not None:
        decision = decision.model_copy(update={"warnings": [*decision.warnings, *compared.warnings]})
    items = sorted(set(candidate.column(task.item)))
    test = hashlib.sha256(json.dumps(items).encode()).hexdigest()
    ledger = Uri.parse(settings.ledger) / test
    look = Look(
        task=task.task,
        test_sha256=test,
        items=len(items),
        evaluation_sha256=candidate.sha256,
        passed=decision.passed,
        message=decision.message,
    )
    looks = count_looks(store, ledger, look)
    file = ComparisonFile(
        **decision.model_dump(),
        task=task.task,
        score=1 if decision.passed else 0,
        gate=registry_text(gate_words(decision, comparison, settings.group)),
        looks=looks,
        looks_text=str(looks),
        test_sha256=test,
        evaluation_sha256=candidate.sha256,
        ledger=str(ledger),
        champion_arn=None if champion is None else champion.arn,
        comparison=comparison and comparison.model_copy(update={"different": comparison.different[:LISTED]}),
        answered_by=None if compared is None else compared.by,
        answered=None if compared is None else compared.items,
    )
    atomic_write(job.output("comparison") / COMPARISON, file.to_json())
    if champion is not None and compared is not None and compared.by is not None:
        print(f"{champion.name} answered {compared.items:,} of the {len(items):,} {task.unit}, by {compared.by}")
    for warning in decision.warnings:
        print(f"warning: {warning}")
    print(f"looks at this test set, this one among them: {looks}")
    print(f"gate {'passed' if decision.passed else 'not passed'}: {decision.message}")


def thresholds(settings: CompareJob, candidate: StoredEvaluation, task: Comparable) -> list[ThresholdResult]:
    """The candidate's scores against what is asked for: the task's measure, and, where that is asked for, the specificity.

    Raises:
        DataError: when the specificity is asked for and the evaluation has no operating point that was set to a sensitivity.
    """
    judged = [
        threshold_result(task.measure, task.title, candidate.block.intervals[task.measure], settings.on, settings.threshold)
    ]
    if settings.min_specificity:
        row = candidate.block.at_sensitivity()
        if row is None or row.point.sensitivity is None:
            raise DataError(
                f"{EVALUATION}: it has no specificity at an operating point for sensitivity, which min-specificity asks for: "
                f"train and evaluate the model again, or set min-specificity to 0"
            )
        at = f"at the operating point for sensitivity {row.point.sensitivity:g}"
        judged.append(threshold_result(SPECIFICITY, "specificity", row.specificity, settings.on, settings.min_specificity, at))
    return judged


def find_champion(registry: Any, group: str) -> Champion | None:
    """The group's latest approved version; None where nothing is approved.

    Raises:
        NotAnsweredError: naming the permission that is missing, or what else kept the registry from answering.
    """
    name = ""
    for _ in range(_TRIES):
        listed = _latest_approved(registry, group)
        if listed is None:
            return None
        arn, name = listed["ModelPackageArn"], f"version {listed['ModelPackageVersion']}"
        with answered("sagemaker:DescribeModelPackage", arn):
            try:
                described = registry.describe_model_package(ModelPackageName=arn)
            except ClientError as error:
                if not is_missing(error):
                    raise
                continue
        if described.get("ModelApprovalStatus") == APPROVED:
            return Champion(name, arn, dict(described))
    raise NotAnsweredError(
        f"{group}: {name} is listed as approved and is gone or no longer approved when it is looked at: start again"
    )


def find_version(registry: Any, arn: str) -> Champion:
    """The version with this ARN, whatever its status.

    Raises:
        DataError: when there is none.
        NotAnsweredError: as :func:`find_champion`.
    """
    with answered("sagemaker:DescribeModelPackage", arn):
        try:
            described = dict(registry.describe_model_package(ModelPackageName=arn))
        except ClientError as error:
            if not is_missing(error):
                raise
            raise DataError(f"{arn}: there is no such model version: correct ModelVersion") from None
    return Champion(f"version {described['ModelPackageVersion']}", described["ModelPackageArn"], described)


def _latest_approved(registry: Any, group: str) -> dict[str, Any] | None:
    asked = {"ModelPackageGroupName": group, "ModelApprovalStatus": APPROVED, "SortBy": "CreationTime", "SortOrder": "Descending"}
    with answered("sagemaker:ListModelPackages", group):
        for page in registry.get_paginator("list_model_packages").paginate(**asked):
            for summary in page["ModelPackageSummaryList"]:
                return dict(summary)
    return None


def compare_with(
    champion: Champion, candidate: StoredEvaluation, task: Comparable, asking: Asking, objects: Objects, limit_seconds: float
) -> Compared:
    """By the champion's stored predictions where they have an answer to every test item of the candidate with the same content; else by
    its artefact; else by the stored predictions that there are, with a warning. Not comparable, with the reasons, where none will do."""
    try:
        task.answers(candidate, {})
        before, lacking, by_stored = _by_stored(champion, candidate, task, objects)
    except NotNamedError as error:  # the candidate's, of which no answers of the champion say more
        return Compared(task.not_comparable(candidate.name, champion.name, one_line(error), candidate.block.confidence))
    if by_stored is not None and not lacking:
        return Compared.of(by_stored, "stored predictions", candidate, task)
    try:
        again = ask_again(champion.registered(before), candidate, task, asking, objects, limit_seconds)
        by_artefact = task.compared(candidate, again, objects.read)
    except (DataError, RequestError) as error:
        failed = f"{lacking}; and by its artefact there is no answer: {one_line(error)}"
    else:
        if by_artefact.comparable or by_stored is None or not by_stored.comparable:
            return Compared.of(by_artefact, "its artefact, run again", candidate, task)
        failed = f"{lacking}; and by its artefact: {by_artefact.reason}"
    if by_stored is not None and by_stored.comparable:
        partly = f"compared with {champion.name} on a part of the test, by its stored predictions: {failed}"
        return replace(Compared.of(by_stored, "stored predictions", candidate, task), warnings=(partly,))
    return Compared(task.not_comparable(candidate.name, champion.name, failed, candidate.block.confidence))


def _by_stored(
    champion: Champion, candidate: StoredEvaluation, task: Comparable, objects: Objects
) -> tuple[StoredEvaluation | None, str, PairedComparison | None]:
    """The champion's evaluation, what it lacks for the candidate's test (empty: nothing), and the comparison by it, if there is any."""
    before = None
    try:
        before = stored(champion, task, objects.read)
        found = task.compared(candidate, before, objects.read)
    except (DataError, RequestError) as error:
        return before, one_line(error), None
    missing = found.left_out.only_first + found.left_out.other_content
    if not missing:
        return before, "", found
    lacking = f"its stored predictions lack {missing:,} of the {task.unit}"
    return before, lacking if found.comparable else f"{lacking} ({found.reason})", found


def one_line(error: Exception) -> str:
    """What an error says."""
    return " ".join(str(error).split())


def stored(champion: Champion, task: Comparable, read: Read) -> StoredEvaluation:
    """The champion's evaluation, as its version names it.

    Raises:
        DataError: when it names none, or the files are gone, damaged, of another task or of another model.
        RequestError: when what it names is no URI.
    """
    uri = champion.evaluation
    if uri is None:
        raise DataError(f"{champion.name} names no {EVALUATION}")
    found = StoredEvaluation.of(champion.name, read(uri), read(uri.parent / PREDICTIONS))
    if found.block.task != task.task:
        raise DataError(f"{uri}: is of the task {found.block.task}, not {task.task}")
    registered = champion.described.get("CustomerMetadataProperties", {}).get("model_version")
    if registered and registered != found.block.model.version:
        raise DataError(f"{uri}: is of the model {found.block.model.version}, and {champion.name} is {registered}")
    return found


def count_looks(store: Store, ledger: Uri, look: Look) -> int:
    """Write a look to the ``ledger``'s folder of its test set, once an evaluation; how many there are then."""
    uri = ledger / f"{look.evaluation_sha256}.json"
    with answered("s3:PutObject", str(uri)):
        store.create(uri, look.to_json())
    with answered("s3:ListBucket", str(ledger)):
        return sum(1 for _ in store.list(ledger))


def gate_words(decision: GateDecision, comparison: PairedComparison | None, group: str) -> str:
    """What was asked for, in a version's metadata: ``AUROC lower bound at least 0.65 - not-worse than version 3 of pathology-msi``."""
    asked = [each.asked for each in decision.thresholds]
    if comparison is None:
        asked.append("no approved version to compare with")
    elif comparison.comparable:
        asked.append(f"{decision.rule} {'than' if decision.rule == 'not-worse' else 'to'} {comparison.second} of {group}")
    else:
        asked.append(f"not comparable with {comparison.second} of {group}")
    return " - ".join(asked)
