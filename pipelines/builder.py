"""A task's graph as pipeline JSON, with the code archives that its steps name. Makes no AWS call and uploads nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

from pipelines.checks.expressions import all_steps
from pipelines.tasks import TRAIN, task_spec
from pipelines.tasks.sections import PipelineYaml
from steps.environment import Environment
from steps.jobs import code_of, code_uri
from steps.sdk import Parameter, Pipeline, Step
from steps.shapes import Definition, StepDefinition

CODE_PLACEHOLDER = "<code>"


@dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline ready for CreatePipeline: its name, its definition, the model package group (None where it registers none), the archives
    it needs."""

    task: str
    name: str
    description: str
    group: str | None
    definition: Definition
    code: dict[str, bytes]

    @cached_property
    def text(self) -> str:
        """The definition as the service gets it."""
        return json.dumps(self.definition, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def rendered(self) -> str:
        """The definition as people review it: indented, ``<code>`` in place of the hash, so that only the graph shows."""
        text = json.dumps(self.definition, indent=2, ensure_ascii=False)
        return re.sub(r"/code/[0-9a-f]{16}\.tar\.gz", f"/code/{CODE_PLACEHOLDER}.tar.gz", text) + "\n"


class _OfflineSession(SimpleNamespace):
    """What the SDK's Pipeline asks of a session while building: a region, and a client that it makes but never calls."""

    def __init__(self, region: str) -> None:
        super().__init__(boto_region_name=region, local_mode=False)
        self.boto_session = SimpleNamespace(client=lambda *_, **__: None)


def build(task: str, settings: PipelineYaml, env: Environment, kind: str = TRAIN) -> CompiledPipeline:
    """Build a task's pipeline of a kind.

    Raises:
        RequestError: for a placement that the service could not serve.
    """
    parameters: list[Parameter]
    steps: list[Step]
    parameters, steps = task_spec(task).pipeline(kind).draw()(settings, env)
    pipeline = Pipeline(
        name=settings.pipeline,
        parameters=parameters,
        steps=steps,
        sagemaker_session=_OfflineSession(env.region),
        pipeline_experiment_config=None,
    )
    definition: Definition = json.loads(pipeline.definition())
    commands = sorted({command for step in all_steps(definition) for command in _commands(step)})
    code = {code_uri(env, command): code_of(command).archive() for command in commands}
    return CompiledPipeline(task, settings.pipeline, settings.description, settings.registers_in, definition, code)


def _commands(step: StepDefinition) -> list[str]:
    """A job's, inside conditions too: of other steps none."""
    arguments = step["Arguments"]
    job = arguments.get("AppSpecification") or arguments.get("AlgorithmSpecification") or {}
    return list(job.get("ContainerArguments", []))
