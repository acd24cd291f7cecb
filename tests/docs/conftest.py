import json

import pytest

from pipelines.config import TASKS
from tests.docs.reading import ROOT
from tests.pipelines.on_aws import models_are_read_once

assert models_are_read_once  # a fixture


@pytest.fixture(scope="session")
def built():
    """Each task's definition, as it is committed: tests/pipelines/test_builder.py holds it against what is built."""
    return {task: json.loads((ROOT / "pipeline_definitions" / f"{task}.json").read_text()) for task in TASKS}


@pytest.fixture(scope="session")
def definitions(built):
    """Each task's parameters."""
    return {task: {item["Name"] for item in definition["Parameters"]} for task, definition in built.items()}


@pytest.fixture
def mocked():
    """AWS is moto, in this process, and empty."""
    from moto import mock_aws

    with mock_aws():
        yield
