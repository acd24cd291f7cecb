import json

import pytest

from pipelines.tasks import NAMES
from tests.docs.reading import ROOT
from tests.pipelines.on_aws import models_are_read_once

assert models_are_read_once  # a fixture


@pytest.fixture(scope="session")
def definitions():
    """Each task's definition, as it is committed: tests/pipelines/test_builder.py holds it against what is built."""
    return {task: json.loads((ROOT / "pipeline_definitions" / f"{task}.json").read_text()) for task in NAMES}


@pytest.fixture(scope="session")
def parameter_names(definitions):
    """Each task's parameters."""
    return {task: {item["Name"] for item in definition["Parameters"]} for task, definition in definitions.items()}


@pytest.fixture
def mocked():
    """AWS is moto, in this process, and empty."""
    from moto import mock_aws

    with mock_aws():
        yield
