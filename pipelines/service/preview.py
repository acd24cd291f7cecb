"""What a start will come to: the instances of each step, and what the cache will answer, as far as earlier executions tell.

The service compares a step's resolved attributes when the step's turn comes. Known before are those that stand in the definition and
in parameters; what a step before will find, such as the folders that Prepare names by their content, is a condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from pathology.contracts.errors import RequestError
from pathology.contracts.settings import hyperparameters_in

from pipelines.checks.caching import KEY_ATTRIBUTES, duration
from pipelines.checks.expressions import UnknownValueError, all_steps, known, references, split_step
from pipelines.checks.selection import behind
from pipelines.checks.settings import defaults
from pipelines.checks.values import read_values
from pipelines.service.deployment import DeployedPipeline
from pipelines.service.earlier import Earlier, History, deciding, short
from pipelines.service.session import Session
from steps.shapes import Definition, ParameterValues, Request, Selection, StepDefinition

State = Literal["runs", "cached", "cached-if", "unknown"]
_SHOWN = 3
_ONCE = "a --token that has started an execution before starts no other: that one is named, and goes on as it was started"
_FIXED = ("Execution.PipelineName", "Execution.PipelineArn")
"""What is of an execution and the same in all of a pipeline."""


@dataclass(frozen=True)
class Condition:
    """That ``step`` finds what it found in ``execution``, by id."""

    step: str
    execution: str


@dataclass(frozen=True)
class Forecast:
    """A step of a start: what it would run on, and whether it will. ``execution`` is the id of the one whose job answers for it;
    ``conditions`` are what that hangs on, ``reason`` why it is so. ``behind`` is the condition step that decides about it."""

    step: str
    type: str
    state: State
    instance_type: str | None = None
    instance_count: int | None = None
    spot: bool = False
    execution: str | None = None
    conditions: tuple[Condition, ...] = ()
    reason: str = ""
    behind: str | None = None

    @property
    def instances(self) -> str:
        """Such as ``4 × ml.g5.2xlarge``, nothing for a step without a job."""
        if self.instance_type is None:
            return ""
        return f"{self.instance_count} × {self.instance_type}{' spot' if self.spot else ''}"

    @property
    def words(self) -> str:
        """What will become of it."""
        if self.state == "runs":
            said = f"runs{': ' if self.reason else ''}{self.reason}"
            return f"if {self.behind} decides so" if self.behind and not self.reason else said
        if self.state == "unknown":
            return f"not known: {self.reason}"
        hangs = [
            f"{' and '.join(steps)} {'find' if len(steps) > 1 else 'finds'} the same as in {execution}"
            for execution, steps in self._by_execution().items()
        ]
        return f"cached if {', and '.join(hangs)}" if hangs else f"cached from {self.execution}"

    def _by_execution(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for condition in self.conditions:
            found.setdefault(condition.execution, []).append(condition.step)
        return found


@dataclass(frozen=True)
class Preview:
    """``executions`` are the ids of those that were looked at, newest first; ``notes`` what could not be."""

    pipeline: str
    steps: tuple[Forecast, ...]
    source: str | None
    executions: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """What goes with the table."""
        if self.source:
            yield f"All else is taken from {self.source}."
        if any(step.state in ("cached", "cached-if") for step in self.steps):
            yield "What the cache answers is decided when a step's turn comes; this is what earlier executions tell."
        yield from (f"note: {note}" for note in self.notes)


def preview(session: Session, pipeline: DeployedPipeline, request: Request, *, once: bool = False) -> Preview:
    """What StartPipelineExecution with ``request`` will come to; ``once``: its token may have been used before. Starts nothing, and
    fails for nothing that cannot be read."""
    history = History(session, pipeline["PipelineName"])
    selection: Selection | None = request.get("SelectiveExecutionConfig")
    given = {item["Name"]: item["Value"] for item in request["PipelineParameters"]}
    source = (selection or {}).get("SourcePipelineExecutionArn")
    forecaster = _Forecaster(pipeline["Definition"], given, history, source)
    chosen = {item["StepName"] for item in selection["SelectedSteps"]} if selection else None
    names = [step["Name"] for step in all_steps(pipeline["Definition"]) if chosen is None or step["Name"] in chosen]
    forecaster.chosen = frozenset(names)
    steps = tuple(forecaster.of(name) for name in names)
    read = tuple(short(execution.arn) for execution in history.read)
    notes = (*history.notes, *([_ONCE] if once else []))
    return Preview(pipeline["PipelineName"], steps, short(source) if source else None, read, notes)


@dataclass
class _Forecaster:
    """The forecasts of one start, each made once."""

    definition: Definition
    given: dict[str, str]
    history: History
    source: str | None
    chosen: frozenset[str] = frozenset()
    _made: dict[str, Forecast] = field(default_factory=dict)
    _jobs: dict[str, str] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> ParameterValues:
        """Every value, in its type."""
        return read_values(self.definition, self.given)

    def of(self, name: str) -> Forecast:
        """A step's forecast, those of the steps that it reads from first."""
        if name not in self._made:
            step = next(step for step in all_steps(self.definition) if step["Name"] == name)
            state = self._cached(step) if step["Type"] in KEY_ATTRIBUTES else {"state": "runs"}
            gate = behind(self.definition).get(name)
            self._made[name] = Forecast(step=name, type=step["Type"], behind=gate, **self._instances(step), **state)
        return self._made[name]

    def _instances(self, step: StepDefinition) -> dict[str, Any]:
        arguments = step.get("Arguments", {})
        cluster = arguments.get("ResourceConfig") or arguments.get("ProcessingResources", {}).get("ClusterConfig") or {}
        try:
            return {
                "instance_type": known(cluster.get("InstanceType"), self.parameters),
                "instance_count": known(cluster.get("InstanceCount"), self.parameters),
                "spot": bool(known(arguments.get("EnableManagedSpotTraining", False), self.parameters)),
            }
        except UnknownValueError:
            return {}

    def _cached(self, step: StepDefinition) -> dict[str, Any]:
        """State, execution, conditions and reason of a job step."""
        if not step.get("CacheConfig", {}).get("Enabled"):
            return {"state": "runs"}
        decides = deciding(step, self.parameters)
        if any(target.startswith("Execution.") and target not in _FIXED for target in references(decides)):
            return {"state": "runs", "reason": "what decides it names the execution"}
        reads = list(dict.fromkeys(split for target in references(decides) if (split := split_step(target))))
        for other, path in reads:
            if other in self.chosen and self._new_for_each(other, path):
                before = self.of(other).state
                if before in ("runs", "unknown"):
                    return {"state": before, "reason": f"it reads what {other} makes" if before == "runs" else f"as {other}"}
        why = ""
        for execution in self.history.executions():
            if execution.ran(step["Name"]):
                answer, fault = self._answer(step, decides, reads, execution)
                if answer:
                    return answer
                why = why or fault
        if not self.history.complete:
            return {"state": "unknown", "reason": why or "no execution that was looked at had it"}
        return {"state": "runs", "reason": why or "it has not succeeded yet"}

    def _new_for_each(self, name: str, path: str) -> bool:
        """Whether a property of a step is another in each execution, as where its outputs lie is; what a file of it says is not."""
        if path.startswith("PropertyFiles."):
            return False
        step = next(step for step in all_steps(self.definition) if step["Name"] == name)
        for output in step.get("Arguments", {}).get("ProcessingOutputConfig", {}).get("Outputs", []):
            if path.startswith(f"ProcessingOutputConfig.Outputs['{output['OutputName']}']"):
                return any(target.startswith("Execution.") for target in references(output))
        return True

    def _answer(
        self, step: StepDefinition, decides: dict[str, Any], reads: list[tuple[str, str]], execution: Earlier
    ) -> tuple[dict[str, Any] | None, str]:
        """The forecast that this execution's result makes, or None and why it makes none."""
        name = step["Name"]
        if execution.deciding(name) != decides:
            labels = list(_differences(decides, execution.deciding(name) or {}))
            return None, f"{_listed(labels)} not as in {short(execution.arn)}"
        texts, before = deciding(step, {**defaults(self.definition), **self.given}), execution.deciding(name, as_written=True)
        if texts != before:  # nobody has said whether the service compares 0.50 and 0.5 as numbers
            self.history.complete = False
            return None, f"{_listed(list(_differences(texts, before or {})))} is written otherwise in {short(execution.arn)}"
        job = self.history.job_of(execution.arn, name)
        if job is None:
            self.history.complete = False
            return None, f"whose result {short(execution.arn)} had cannot be read"
        fault = _too_old(step, job[1].get("EndTime"))
        if fault:
            return None, f"the result of {short(job[0])} {fault}"
        conditions: dict[Condition, None] = {}
        for other, path in reads:
            then, now = self.history.job_of(execution.arn, other), self._job_now(other)
            if now is not None and then is not None and now == then[0]:
                conditions.update(dict.fromkeys(self._made[other].conditions if other in self.chosen else ()))
            elif self._new_for_each(other, path):
                return None, f"{other} is another than that of {short(execution.arn)}"
            else:
                conditions[Condition(other, short(execution.arn))] = None
        self._jobs[name], state = job[0], "cached-if" if conditions else "cached"
        return {"state": state, "execution": short(job[0]), "conditions": tuple(conditions)}, ""

    def _job_now(self, name: str) -> str | None:
        """The ARN of the execution whose job answers for a step in this start; None where it runs, or where that is not known."""
        if name not in self.chosen:
            job = self.history.job_of(self.source, name) if self.source else None
            return job[0] if job else None
        self.of(name)
        return self._jobs.get(name)


def _listed(labels: list[str]) -> str:
    return ", ".join(labels[:_SHOWN]) + (", …" if len(labels) > _SHOWN else "")


def _too_old(step: StepDefinition, ended: datetime | None) -> str:
    """Why a result answers no more; nothing where it does."""
    expires = step.get("CacheConfig", {}).get("ExpireAfter")
    if expires is None:
        return ""
    try:
        limit = duration(expires)
    except RequestError as error:
        return f"stands for a time that cannot be told ({error})"
    if ended is None:
        return "has no end"
    return f"is older than {expires}" if datetime.now(UTC) - ended > limit else ""


def _differences(now: dict[str, Any], then: dict[str, Any]) -> Iterator[str]:
    """Names, as people know them, of what decides a step and was otherwise then."""
    for part in sorted({*now, *then}):
        new, old = now.get(part, {}), then.get(part, {})
        if part in ("Environment", "HyperParameters"):
            new, old = ({**_plain(values), **hyperparameters_in(values)} for values in (new, old))
            yield from (name for name in sorted({*new, *old}) if new.get(name) != old.get(name))
        elif part in ("ProcessingInputs", "InputDataConfig"):
            new, old = ({item.get("InputName") or item.get("ChannelName"): item for item in items} for items in (new, old))
            yield from (str(name) for name in dict.fromkeys([*new, *old]) if new.get(name) != old.get(name))
        elif new != old and part != "CheckpointConfig":  # which follows from the others
            yield "image" if "Specification" in part else part


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not hyperparameters_in({name: value})}
