"""What a task's executions, model versions and pipelines name below ``runs/`` and ``prepared/``, in the service's own answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.prepared import PREPARED
from pathology.contracts.refusals import is_missing
from pathology.contracts.runs import RUNS

from pipelines.config import load_task
from pipelines.service.deployment import deployed
from pipelines.service.executions import DAMAGED, ENDED, JOBS
from pipelines.service.paging import paginate
from pipelines.service.session import Session
from pipelines.tasks import task_spec

_EXECUTION = re.compile(r":pipeline/[^/\s]+/execution/(?P<id>[a-z0-9]+)")
_JOB = re.compile(r":(?:processing|training)-job/pipelines-(?P<id>[a-z0-9]+)-")
EXECUTION_ID = re.compile(r"[a-z0-9]{12}")
"""As the service makes them, and this machine after it."""


@dataclass(frozen=True)
class Names:
    """What somebody names: ids of executions, and keys of folders, ``prepared/<task>/<hash>``."""

    executions: frozenset[str] = frozenset()
    prepared: frozenset[str] = frozenset()

    def __or__(self, other: Names) -> Names:
        return Names(self.executions | other.executions, self.prepared | other.prepared)

    @classmethod
    def of(cls, answer: Any, bucket: str) -> Names:
        """All that an answer names, wherever in it: URIs in the bucket, ARNs of executions and of their jobs, bare ids."""
        executions, prepared = set(), set()
        run = re.compile(rf"s3://{re.escape(bucket)}/{RUNS}/[^/\s]+/(?P<id>[a-z0-9]+)")
        folder = re.compile(rf"s3://{re.escape(bucket)}/(?P<key>{PREPARED}/[^/\s]+/[^/\s\"',]+)")
        for text in _texts(answer):
            executions |= {found["id"] for pattern in (run, _EXECUTION, _JOB) for found in pattern.finditer(text)}
            executions |= {text} if EXECUTION_ID.fullmatch(text) else set()
            prepared |= {found["key"] for found in folder.finditer(text)}
        return cls(frozenset(executions), frozenset(prepared))


def _texts(answer: Any) -> Iterator[str]:
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, Mapping):
        yield from (text for value in answer.values() for text in _texts(value))
    elif isinstance(answer, list | tuple):
        yield from (text for value in answer for text in _texts(value))


def _union(names: Iterable[Names]) -> Names:
    return reduce(or_, names, Names())


@dataclass(frozen=True)
class Root:
    """An execution whose outputs and inputs stay, with all that it names. ``over``: it has ended; ``worked``: a job of it succeeded."""

    identity: str
    names: Names
    over: bool
    worked: bool


@dataclass(frozen=True)
class Uses:
    """Who names what. ``versions`` are names by ARN of model versions; ``roots`` executions that run, are younger than the limit or
    that a version stands on; ``pipelines`` what the deployed pipelines name."""

    versions: Mapping[str, Names]
    roots: tuple[Root, ...]
    pipelines: Names
    of_versions: frozenset[str] = frozenset()
    """Ids of executions that registered a version, or that one names."""

    @property
    def by_versions(self) -> Names:
        """What versions name, and what the executions that they stand on name."""
        own = Names(executions=self.of_versions)
        return _union([own, *self.versions.values(), *(root.names for root in self.roots if root.identity in self.of_versions)])

    @property
    def by_executions(self) -> Names:
        """What executions that run or are younger name, themselves among it."""
        return _union(
            [Names(frozenset({root.identity})) | root.names for root in self.roots if root.identity not in self.of_versions]
        )


def _id(arn: str) -> str:
    return arn.rpartition("/")[2]


@dataclass(frozen=True)
class _Known:
    arn: str
    status: str
    started: datetime
    steps: list[dict[str, Any]]

    @property
    def identity(self) -> str:
        return _id(self.arn)

    @property
    def over(self) -> bool:
        return self.status in ENDED

    @property
    def last(self) -> datetime:
        """When it last did something, a retry too."""
        times = [step[key] for step in self.steps for key in ("StartTime", "EndTime") if step.get(key)]
        return max([self.started, *times])

    @property
    def registered(self) -> set[str]:
        """ARNs of model versions."""
        return {step["Metadata"]["RegisterModel"]["Arn"] for step in self.steps if "RegisterModel" in step.get("Metadata", {})}

    @property
    def worked(self) -> bool:
        return any(step["StepStatus"] == "Succeeded" and set(step.get("Metadata", {})) & set(JOBS) for step in self.steps)


@dataclass
class Users:
    """Looks at who uses what as often as it is asked; what has ended is asked for once. ``before``: executions that did nothing
    since are old."""

    session: Session
    task: str
    before: datetime
    _ended: dict[tuple[str, str], _Known] = field(default_factory=dict)
    _names: dict[tuple[str, str], Names] = field(default_factory=dict)
    _versions: dict[str, Names | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = [load_task(self.task, self.session.environment, kind=kind) for kind in task_spec(self.task).pipelines]
        self.pipelines = sorted({settings.pipeline for settings in kinds})
        self._groups = {settings.registers_in for settings in kinds if settings.registers_in}

    def look(self) -> Uses:
        """As it is now.

        Raises:
            RequestError: when an execution's record is damaged, as nobody knows what it uses.
        """
        pipelines, known = Names(), []
        for name in self.pipelines:
            pipeline = deployed(self.session, name)
            if pipeline is not None:  # a pipeline that was deleted took the list of its executions along
                pipelines |= Names.of(pipeline["Definition"], self._bucket)
                call = self.session.sagemaker.list_pipeline_executions
                listed = paginate(call, "PipelineExecutionSummaries", PipelineName=name, MaxResults=100)
                known += [self._known(summary) for summary in listed]
        arns = {arn for group in self._groups for arn in self._listed(group)}
        arns |= {arn for one in known for arn in one.registered}  # in a group that the YAML named before
        versions = {arn: names for arn in sorted(arns) if (names := self._version(arn)) is not None}
        named = _union(versions.values()).executions
        of_versions = named | {one.identity for one in known if one.registered & set(versions)}
        roots = [one for one in known if not one.over or one.last >= self.before or one.identity in of_versions]
        return Uses(versions, tuple(self._root(one) for one in roots), pipelines, frozenset(of_versions))

    @property
    def _bucket(self) -> str:
        return self.session.environment.bucket

    def _known(self, summary: dict[str, Any]) -> _Known:
        arn, status = summary["PipelineExecutionArn"], summary["PipelineExecutionStatus"]
        if status == DAMAGED:
            reason = summary.get("PipelineExecutionFailureReason", "")
            raise RequestError(f"what execution {_id(arn)} uses cannot be known, nothing is removed: {reason}")
        if (arn, status) in self._ended:
            return self._ended[arn, status]
        call = self.session.sagemaker.list_pipeline_execution_steps
        steps = list(paginate(call, "PipelineExecutionSteps", PipelineExecutionArn=arn))
        known = _Known(arn, status, summary["StartTime"], steps)
        if known.over:
            self._ended[arn, status] = known
        return known

    def _root(self, one: _Known) -> Root:
        """With what its steps and its parameters name, and the jobs behind steps that the cache or another execution answered."""
        arn, key = one.arn, (one.arn, one.status)
        names = self._names.get(key)
        if names is None:
            call = self.session.sagemaker.list_pipeline_parameters_for_execution
            given = list(paginate(call, "PipelineParameters", PipelineExecutionArn=arn))
            names = Names.of([one.steps, given, list(self._jobs_of_others(one.steps))], self._bucket)
            if one.over:
                self._names[key] = names
        return Root(one.identity, names, one.over, one.worked)

    def _jobs_of_others(self, steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for step in steps:
            if "CacheHitResult" not in step and "SelectiveExecutionResult" not in step:
                continue
            for kind, made in step.get("Metadata", {}).items():
                if kind not in JOBS:
                    continue
                describe = getattr(
                    self.session.sagemaker, "describe_processing_job" if kind == JOBS[0] else "describe_training_job"
                )
                try:
                    yield describe(**{f"{kind}Name": _id(made["Arn"])})
                except ClientError as error:
                    if not is_missing(error):  # the step names the execution that had the job, and the job's own name does
                        raise

    def _listed(self, group: str) -> Iterator[str]:
        """ARNs of the group's versions, of any status; none where the group is not made yet."""
        try:
            call = self.session.sagemaker.list_model_packages
            for summary in paginate(call, "ModelPackageSummaryList", ModelPackageGroupName=group, MaxResults=100):
                yield summary["ModelPackageArn"]
        except ClientError as error:
            if not is_missing(error):
                raise

    def _version(self, arn: str) -> Names | None:
        """What a version names; None for one that was deleted."""
        if arn not in self._versions:
            try:
                described = self.session.sagemaker.describe_model_package(ModelPackageName=arn)
                self._versions[arn] = Names.of(described, self._bucket)
            except ClientError as error:
                if not is_missing(error):
                    raise
                self._versions[arn] = None
        return self._versions[arn]
