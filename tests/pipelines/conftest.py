from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from pipelines.config import LOCAL, load_task
from pipelines.service.session import Session, open_session
from tests.pipelines.on_aws import (
    aws_response,
    before_send,
    example,
    here,
    models_are_read_once,
    moto,
    moto_url,
    quick,
    recorded,
    server,
)

if TYPE_CHECKING:
    from pipelines.builder import CompiledPipeline

assert aws_response and before_send and example and here and models_are_read_once and moto and moto_url  # fixtures
assert quick and recorded and server  # fixtures too


@pytest.fixture(scope="session")
def compiled(example) -> CompiledPipeline:
    """The msi pipeline as environments/example.yaml has it."""
    from pipelines.builder import build

    return build("msi", load_task("msi", example), example)


@pytest.fixture(scope="session")
def compiled_local() -> CompiledPipeline:
    """The msi pipeline for the local environment."""
    from pipelines.builder import build

    return build("msi", load_task("msi", LOCAL), LOCAL)


@pytest.fixture
def definition(compiled):
    """A definition that a test may change."""
    return copy.deepcopy(compiled.definition)


def step_named(definition, name):
    from pipelines.checks.expressions import all_steps

    return next(step for step in all_steps(definition) if step["Name"] == name)


@pytest.fixture
def step(definition):
    """``step("TrainMsi")``: a step of the definition that a test may change."""
    return lambda name: step_named(definition, name)


@pytest.fixture
def session(server, example) -> Session:
    return open_session(example)


@pytest.fixture
def calls(session):
    """Operation names of every SageMaker call, in order."""
    made = []
    session.sagemaker.meta.events.register("before-call.sagemaker.*", lambda model, **_: made.append(model.name))
    return made
