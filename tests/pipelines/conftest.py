import copy

import pytest

from pipelines.builder import Built, build
from pipelines.config import LOCAL, load_environment, load_task


@pytest.fixture(scope="session")
def example():
    return load_environment("example")


@pytest.fixture(scope="session")
def built(example) -> Built:
    """The msi pipeline as environments/example.yaml has it."""
    return build("msi", load_task("msi", example), example)


@pytest.fixture(scope="session")
def built_here() -> Built:
    """The msi pipeline for the local environment."""
    return build("msi", load_task("msi", LOCAL), LOCAL)


@pytest.fixture
def definition(built):
    """A definition that a test may change."""
    return copy.deepcopy(built.definition)


def step_named(definition, name):
    from pipelines.checks.expressions import all_steps

    return next(step for step in all_steps(definition) if step["Name"] == name)


@pytest.fixture
def step(definition):
    """``step("TrainMsi")``: a step of the definition that a test may change."""
    return lambda name: step_named(definition, name)
