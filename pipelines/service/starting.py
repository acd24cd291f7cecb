"""The request that starts an execution: checked against the pipeline as it is deployed, before any call that starts anything."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pathology.contracts.errors import RequestError

from pipelines.checks.selection import selection_problems, sources, with_branches
from pipelines.checks.settings import defaults
from pipelines.parameters import check_parameters
from pipelines.service.deployment import DeployedPipeline
from pipelines.service.executions import LATEST, describe, find, get_state
from pipelines.service.paging import paginate
from pipelines.service.session import Session
from pipelines.tasks import TRAIN
from steps.shapes import Definition, Request, Selection

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}")


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """What a person asks for: parameters' values, the execution whose other values are taken over, a name to show, steps at once,
    the only steps and the execution whose results they build on, and a word that makes starting idempotent."""

    task: str
    kind: str = TRAIN
    values: Mapping[str, str] = field(default_factory=dict)
    like: str | None = None
    name: str | None = None
    parallelism: int | None = None
    only: Sequence[str] = ()
    source: str | None = None
    token: str | None = None


def request(session: Session, pipeline: DeployedPipeline, start: StartRequest) -> Request:
    """StartPipelineExecution's arguments.

    Raises:
        RequestError: for a parameter, a name or a selection that the pipeline would refuse.
    """
    definition = pipeline["Definition"]
    if start.name is not None and not _NAME.fullmatch(start.name):
        raise RequestError(f"--name {start.name}: at most 82 letters, digits and single hyphens")
    if start.source is not None and not start.only:
        raise RequestError("--source goes with --only")
    if start.like is not None and start.only:
        raise RequestError("--like is of whole executions: with --only, parameters are those of --source")
    selection: Selection = _selection(session, definition, start) if start.only else {}
    taken = _of_source(session, definition, selection) if start.only else _of_like(session, pipeline, start)
    values = check_parameters(definition, {**taken, **start.values})
    return {
        "PipelineName": pipeline["PipelineName"],
        "PipelineParameters": [{"Name": key, "Value": value} for key, value in values.items()],
        "ClientRequestToken": _token(pipeline["PipelineArn"], start.token),
        **({"PipelineExecutionDisplayName": start.name} if start.name else {}),
        **({"ParallelismConfiguration": {"MaxParallelExecutionSteps": start.parallelism}} if start.parallelism else {}),
        **({"SelectiveExecutionConfig": selection} if selection else {}),
    }


def _token(pipeline: str, word: str | None) -> str:
    """A ClientRequestToken: of a word always the same; else one that only the tries of this call share."""
    return hashlib.sha256(f"{pipeline} {word}".encode()).hexdigest() if word else uuid.uuid4().hex


def _selection(session: Session, definition: Definition, start: StartRequest) -> Selection:
    selected = list(dict.fromkeys(start.only))
    fault = next(selection_problems(definition, selected), None)
    if fault:
        raise RequestError(f"--only: {fault}")
    selected = with_branches(definition, selected)
    config: Selection = {"SelectedSteps": [{"StepName": name} for name in selected]}
    wanted = sources(definition, selected)
    if not wanted and start.source is None:
        return config
    arn = find(session, start.task, start.source or LATEST, start.kind)
    state = get_state(session, arn)
    if not state.over:
        raise RequestError(f"--source {state.identity}: it is still {state.status}; wait for it, or name another execution")
    lacking = wanted - {step.step for step in state.steps if step.status == "Succeeded"}
    if lacking:
        raise RequestError(
            f"--source {state.identity}: {', '.join(sorted(lacking))} did not succeed there, and the selected steps need it; "
            "select it too, or name another execution"
        )
    return {"SourcePipelineExecutionArn": arn, **config}


def _of_source(session: Session, definition: Definition, selection: Selection) -> dict[str, str]:
    """What the source of a selection was given: the steps that run again do so on the same terms."""
    source = selection.get("SourcePipelineExecutionArn")
    if source is None:
        return {}
    return _taken_over(definition, _given_to(session, source), "the source was started with")


def _of_like(session: Session, pipeline: DeployedPipeline, start: StartRequest) -> dict[str, str]:
    """All parameters of the execution that the new one is to be like, the defaults that it had among them: those of the pipeline
    may be others by now. Prepare looks at the data as they are now."""
    if start.like is None:
        return {}
    arn = find(session, start.task, start.like, start.kind)
    if not arn.startswith(f"{pipeline['PipelineArn']}/execution/"):
        raise RequestError(f"--like {start.like}: it is not an execution of {pipeline['PipelineName']}")
    describe(session, arn)  # refuses one that is not there
    answer = session.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    had = {name: str(value) for name, value in defaults(json.loads(answer["PipelineDefinition"])).items()}
    given, now = _given_to(session, arn), defaults(pipeline["Definition"])
    other = {name: value for name, value in had.items() if value != str(now.get(name))}
    said = f"execution {arn.rpartition('/')[2]} had"
    return _taken_over(pipeline["Definition"], {**other, **given}, said)


def _given_to(session: Session, arn: str) -> dict[str, str]:
    """What an execution was given."""
    call = session.sagemaker.list_pipeline_parameters_for_execution
    return {item["Name"]: item["Value"] for item in paginate(call, "PipelineParameters", PipelineExecutionArn=arn)}


def _taken_over(definition: Definition, values: Mapping[str, str], said: str) -> dict[str, str]:
    """``values`` of an earlier execution that the pipeline still has; what it has no more is named."""
    declared = set(defaults(definition))
    for name in sorted(set(values) - declared):
        print(f"{said} {name}={values[name]}, which the pipeline has no more", file=sys.stderr)
    return {name: value for name, value in values.items() if name in declared}
