"""Earlier executions of a pipeline, for what they say of the cache: what decided each step, and whose job answered it.

Read by the calls that every verb makes, on AWS as on this machine. What cannot be read is said and passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from pathology.contracts.errors import PathologyError, RequestError

from pipelines.checks.caching import KEY_ATTRIBUTES
from pipelines.checks.expressions import UnknownValueError, all_steps, is_expression, known
from pipelines.checks.settings import defaults
from pipelines.checks.values import read_value
from pipelines.service.errors import explain, explain_disk
from pipelines.service.executions import DAMAGED
from pipelines.service.paging import paginate
from pipelines.service.session import Session, state_folder
from steps.shapes import Answer, Definition, ParameterValues, StepDefinition

MAX_READ = 10
"""Executions that are looked at: three calls each."""
_UNREADABLE = (ClientError, BotoCoreError, PathologyError, OSError, ValueError)
T = TypeVar("T")


def short(arn: str) -> str:
    """An execution's id."""
    return arn.rpartition("/")[2]


def deciding(step: StepDefinition, parameters: ParameterValues) -> dict[str, Any]:
    """What the cache looks at of a job step, parameters filled in; what only an execution knows is left as the expression it is."""
    arguments = step.get("Arguments", {})
    return {name: _filled(arguments[name], parameters) for name in KEY_ATTRIBUTES[step["Type"]] if arguments.get(name)}


def _filled(node: Any, parameters: ParameterValues) -> Any:
    if is_expression(node):
        try:
            return known(node, parameters)
        except UnknownValueError:
            join = node.get("Std:Join")
            return {"Std:Join": {**join, "Values": _filled(join["Values"], parameters)}} if join else node
    if isinstance(node, dict):
        return {key: _filled(value, parameters) for key, value in node.items()}
    return [_filled(value, parameters) for value in node] if isinstance(node, list) else node


@dataclass(frozen=True)
class Earlier:
    """An execution as it was started, and the steps that the service lists of it."""

    arn: str
    definition: Definition
    given: Mapping[str, str]
    steps: Mapping[str, Answer]

    @cached_property
    def parameters(self) -> ParameterValues:
        """Every value that it had; one that this project would not have taken stands as it was given."""
        return {**defaults(self.definition), **{name: self._typed(name, text) for name, text in self.given.items()}}

    def _typed(self, name: str, text: str) -> Any:
        declared = next((parameter for parameter in self.definition["Parameters"] if parameter["Name"] == name), None)
        try:
            return read_value(declared, text) if declared else text
        except RequestError:
            return text

    def deciding(self, step: str, *, as_written: bool = False) -> dict[str, Any] | None:
        """What decided a step there, by values or by the texts that were given; None for a step that it has not."""
        found = next((one for one in all_steps(self.definition) if one["Name"] == step), None)
        values = {**defaults(self.definition), **self.given} if as_written else self.parameters
        return deciding(found, values) if found and found["Type"] in KEY_ATTRIBUTES else None

    def ran(self, step: str) -> bool:
        """Whether the step succeeded there on this execution's own terms, by a job or from the cache."""
        record = self.steps.get(step, {})
        return record.get("StepStatus") == "Succeeded" and "SelectiveExecutionResult" not in record


@dataclass
class History:
    """A pipeline's latest executions, read as far as somebody asks. ``notes`` say what could not be read; ``complete`` whether
    there is nothing else that could answer."""

    session: Session
    pipeline: str
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    read: list[Earlier] = field(default_factory=list)
    _known: dict[str, Mapping[str, Answer] | None] = field(default_factory=dict)

    @cached_property
    def _source(self) -> Iterator[Earlier]:
        return self._read()

    def executions(self) -> Iterator[Earlier]:
        """The newest first; those that are read meanwhile by another caller too."""
        number = 0
        while True:
            if number == len(self.read):
                more = next(self._source, None)
                if more is None:
                    return
                self.read.append(more)
            yield self.read[number]
            number += 1

    def _read(self) -> Iterator[Earlier]:
        for item in self._tried(self._listed, "what the cache will answer is not known") or []:
            arn: str = item["PipelineExecutionArn"]
            if item["PipelineExecutionStatus"] == DAMAGED:
                self._lacks(f"execution {short(arn)} is damaged and not looked at")
                continue
            execution = self._tried(partial(self._one, arn), f"execution {short(arn)} cannot be looked at")
            if execution is not None:
                yield execution

    def _listed(self) -> list[Answer]:
        call = self.session.sagemaker.list_pipeline_executions
        order = {"SortBy": "CreationTime", "SortOrder": "Descending"}
        pages = paginate(call, "PipelineExecutionSummaries", PipelineName=self.pipeline, MaxResults=MAX_READ + 1, **order)
        listed = list(islice(pages, MAX_READ + 1))
        if len(listed) > MAX_READ:
            self._lacks(f"only the last {MAX_READ} executions are looked at")
        return listed[:MAX_READ]

    def _one(self, arn: str) -> Earlier:
        sagemaker = self.session.sagemaker
        text = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)["PipelineDefinition"]
        given = paginate(sagemaker.list_pipeline_parameters_for_execution, "PipelineParameters", PipelineExecutionArn=arn)
        return Earlier(arn, json.loads(text), {item["Name"]: item["Value"] for item in given}, self._steps(arn) or {})

    def _steps(self, arn: str) -> Mapping[str, Answer] | None:
        """An execution's steps by name; None where they cannot be read."""
        if arn not in self._known:
            call = self.session.sagemaker.list_pipeline_execution_steps

            def listed() -> dict[str, Answer]:
                return {step["StepName"]: step for step in paginate(call, "PipelineExecutionSteps", PipelineExecutionArn=arn)}

            self._known[arn] = self._tried(listed, f"execution {short(arn)} cannot be looked at")
        return self._known[arn]

    def job_of(self, arn: str, step: str) -> tuple[str, Answer] | None:
        """The execution whose job answered for a step of ``arn``, and what the service lists of the step there; None where that
        cannot be told."""
        record = (self._steps(arn) or {}).get(step)
        if record is None or record.get("StepStatus") != "Succeeded":
            return None
        for result in ("CacheHitResult", "SelectiveExecutionResult"):
            source = record.get(result, {}).get("SourcePipelineExecutionArn")
            if source and source != arn:
                return self.job_of(source, step)
        return arn, record

    def _lacks(self, note: str) -> None:
        self.complete = False
        if note not in self.notes:
            self.notes.append(note)

    def _tried(self, call: Callable[[], T], what: str) -> T | None:
        """What a call answers, or None where it is refused, with a note: a start does not fail for what it would have said."""
        try:
            return call()
        except _UNREADABLE as error:
            self._lacks(f"{what}: {_words(error)}")
            return None


def _words(error: Exception) -> str:
    if isinstance(error, ClientError | BotoCoreError):
        return explain(error)
    if isinstance(error, OSError) and error.errno is not None:
        return explain_disk(error, state_folder())
    return str(error)
