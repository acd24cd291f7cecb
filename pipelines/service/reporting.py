"""The evaluation's report of a version or an execution, and what the registry and the executions say of it now."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pathology.contracts.description.writing import WARNINGS
from pathology.contracts.errors import DataError, PathologyError
from pathology.contracts.uris import Uri

from pipelines.config import group_name, pipeline_name
from pipelines.scores import warnings
from pipelines.service.decisions import forbidding
from pipelines.service.deployment import deployed
from pipelines.service.errors import explain
from pipelines.service.executions import DAMAGED, ExecutionState, get_state, recent
from pipelines.service.named import version_or_execution
from pipelines.service.outcomes import AT_ONCE, EVALUATE
from pipelines.service.paging import paginate
from pipelines.service.results import REPORT, comparison, evaluation_folder, location, model_version, read_evaluation
from pipelines.service.session import Session
from pipelines.service.version import Version, hashes, read

COMMIT = "git-commit"
"""The pipeline's tag that an upsert writes."""
MOST = 100
"""Later executions that are looked at, a call each."""
_JOB = re.compile(r":processing-job/pipelines-(?P<execution>[a-z0-9]+)-")
_UNREADABLE = (ClientError, BotoCoreError, PathologyError, OSError, ValueError)


@dataclass(frozen=True)
class Reuse:
    """An execution whose Evaluate step the cache, or a selection of steps, answered with this evaluation; and the version that it
    registered."""

    execution: str
    status: str
    started: datetime
    version: int | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """report.html as it lies at ``uri``, and what is known besides: the ``version``, None of an execution that registered none; the
    ``execution`` that registered or was named; the git ``commit`` of its pipeline; what the ``gate`` said; executions that ``reused`` the
    evaluation; ``notes`` on what could not be looked at."""

    name: str
    file: str
    arn: str
    uri: Uri
    content: bytes
    version: Version | None
    execution: str | None
    status: str | None
    commit: str | None
    gate: tuple[str, ...]
    warnings: tuple[str, ...]
    hashes: dict[str, str]
    reused: tuple[Reuse, ...]
    notes: tuple[str, ...]

    def as_json(self, session: Session) -> dict[str, Any]:
        """For ``--json``."""
        version = self.version
        decision = version.decision if version else None
        return {
            "name": self.name,
            "arn": self.arn,
            "report": location(session, self.uri),
            "version": version.number if version else None,
            "version_arn": version.arn if version else None,
            "version_status": version.status if version else None,
            "execution": self.execution,
            "execution_status": self.status,
            "commit": self.commit,
            "source": version.described.get("SourceUri") if version else None,
            "hashes": self.hashes,
            "gate": list(self.gate),
            "warnings": list(self.warnings),
            "decision": decision.as_json() if decision else None,
            "reused_by": [asdict(one) for one in self.reused],
            "notes": list(self.notes),
        }


def report(session: Session, task: str, given: str, kind: str) -> Report:
    """The report of what a person names.

    Raises:
        RequestError: when there is no such version or execution.
        DataError: when it has no report, or that is gone or damaged.
    """
    found = version_or_execution(session, task, given, kind)
    notes: list[str] = []
    if isinstance(found, Version):
        version: Version | None = found
        name, arn = f"version {found.number} of {group_name(task, kind=kind)}", found.arn
        file = f"{group_name(task, kind=kind)}-version-{found.number}.html"
        uri = Uri.parse(found.evaluation_uri) if found.evaluation_uri else None
        why = "it names no evaluation"
        evaluation, state = found.evaluation, _state_of(session, task, kind, found, notes)
        if found.trouble:
            notes.append(found.trouble)
    else:
        state = get_state(session, found)
        name, arn, file = (
            f"execution {state.identity}",
            found,
            f"{pipeline_name(task, kind=kind)}-execution-{state.identity}.html",
        )
        folder = evaluation_folder(session, state)
        uri = folder / REPORT if folder else None
        why = f"it is {state.status}, and no evaluation step has succeeded in it"
        evaluation = _tried(lambda: read_evaluation(session, folder), notes) if folder else None
        described = _tried(lambda: model_version(session, state), notes)
        version = read(session, described) if described else None
    if uri is None:
        raise DataError(f"{name} has no report: {why}")
    uri = uri.parent / REPORT
    content = _content(session, name, uri)
    return Report(
        name=name,
        file=file,
        arn=arn,
        uri=uri,
        content=content,
        version=version,
        execution=state.identity if state else version.execution if version else None,
        status=state.status if state else None,
        commit=_tried(lambda: _commit(session, task, kind, state), notes) if state else None,
        gate=tuple(_gate(session, version, state, notes)),
        warnings=tuple(_warnings(version, evaluation)),
        hashes=hashes(version) if version else {},
        reused=tuple(_reused(session, task, kind, state, notes)) if state else (),
        notes=tuple(dict.fromkeys(notes)),
    )


def _content(session: Session, name: str, uri: Uri) -> bytes:
    try:
        return session.store.read(uri)
    except DataError:
        raise DataError(f"{location(session, uri)}: the report of {name} is gone: evaluate again, or put it back") from None


def _words(error: Exception) -> str:
    return explain(error) if isinstance(error, ClientError | BotoCoreError) else " ".join(str(error).split())


def _tried(call: Any, notes: list[str], what: str = "") -> Any:
    """What a call answers, or None where it is refused, which is noted: a report is shown for what of it can be read."""
    try:
        return call()
    except _UNREADABLE as error:
        notes.append(f"{what}{_words(error)}")
        return None


def _state_of(session: Session, task: str, kind: str, version: Version, notes: list[str]) -> ExecutionState | None:
    """The execution that registered a version; None where that is not known, or its pipeline was deleted."""
    if version.execution is None:
        notes.append("which execution registered it is not recorded")
        return None
    pipeline = _tried(lambda: deployed(session, pipeline_name(task, kind=kind)), notes)
    if pipeline is None:
        notes.append("its pipeline was deleted, and with it what its executions say")
        return None
    return _tried(lambda: get_state(session, f"{pipeline['PipelineArn']}/execution/{version.execution}"), notes)


def _commit(session: Session, task: str, kind: str, state: ExecutionState) -> str | None:
    """The commit that the pipeline was deployed from, where the execution ran the pipeline as it is now; else nobody knows."""
    pipeline = deployed(session, pipeline_name(task, kind=kind))
    if pipeline is None:
        return None
    tags = {
        tag["Key"]: tag["Value"] for tag in paginate(session.sagemaker.list_tags, "Tags", ResourceArn=pipeline["PipelineArn"])
    }
    answer = session.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=state.arn)
    return tags.get(COMMIT) if json.loads(answer["PipelineDefinition"]) == pipeline["Definition"] else None


def _gate(session: Session, version: Version | None, state: ExecutionState | None, notes: list[str]) -> Iterator[str]:
    """What was asked for, and what was found."""
    if version and (asked := version.metadata.get("gate")):
        yield asked
    judged = _tried(lambda: comparison(session, state), notes) if state else None
    if judged:
        yield f"{'passed' if judged.get('passed') else 'not passed'}: {judged.get('message', 'it says no more')}"
        yield f"looks at this test set: {judged.get('looks', 'not recorded')}"
        yield from (f"warning: {words}" for words in judged.get("warnings") or ())


def _warnings(version: Version | None, evaluation: dict[str, Any] | None) -> Iterator[str]:
    if version:
        yield from (f"{words} ({name})" for name, words in forbidding(version).items())
        if refused := version.metadata.get(WARNINGS):
            yield f"the registry did not take all of its description: {refused}"
    yield from warnings(evaluation or {})


def _reused(session: Session, task: str, kind: str, state: ExecutionState, notes: list[str]) -> Iterator[Reuse]:
    """Executions since the evaluation whose Evaluate step has the same job, oldest first."""
    job = next((step.job for step in reversed(state.steps) if step.job and step.step.startswith(EVALUATE)), None)
    made = _JOB.search(job or "")
    if job is None or made is None:
        return
    listed = _tried(lambda: recent(session, task, MOST, kind), notes, "later executions cannot be listed: ") or []
    identities = [one.identity for one in listed]
    if made["execution"] in identities:
        listed = listed[: identities.index(made["execution"])]
    elif len(listed) == MOST:
        notes.append(f"of later executions the last {MOST} were looked at")
    others = [one for one in listed if one.identity != state.identity]
    for damaged in (one for one in others if one.status == DAMAGED):
        notes.append(f"execution {damaged.identity} is damaged and was not looked at")
    asked = [one for one in others if one.status != DAMAGED]
    call = session.sagemaker.list_pipeline_execution_steps

    def steps(one: ExecutionState) -> list[dict[str, Any]]:
        return _tried(lambda: list(paginate(call, "PipelineExecutionSteps", PipelineExecutionArn=one.arn)), notes) or []

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(zip(asked, pool.map(steps, asked), strict=True))
    for one, its in reversed(found):
        if any(step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn") == job for step in its):
            yield Reuse(one.identity, one.status, one.started, _registered(its))


def _registered(steps: Sequence[dict[str, Any]]) -> int | None:
    arns = (step.get("Metadata", {}).get("RegisterModel", {}).get("Arn") for step in steps)
    return next((int(arn.rpartition("/")[2]) for arn in arns if arn), None)
