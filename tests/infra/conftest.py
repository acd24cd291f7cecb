import copy
import sys
from pathlib import Path

import pytest

from infra.checks.suite import TEMPLATES
from infra.checks.template import Stack, parse
from tests.pipelines.on_aws import (
    aws_response,
    before_send,
    example,
    here,
    models_are_read_once,
    moto_url,
    quick,
    server,
)

assert aws_response and before_send and example and here and models_are_read_once and moto_url and quick and server  # fixtures

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def mocked():
    """AWS is moto, in this process, and empty."""
    from moto import mock_aws

    with mock_aws():
        yield


@pytest.fixture(scope="session")
def parsed():
    """infra-stack.yml as data; nobody changes it."""
    return parse(TEMPLATES["infra-stack"])


@pytest.fixture
def template(parsed):
    """infra-stack.yml as data that a test may change."""
    return copy.deepcopy(parsed)


@pytest.fixture(scope="session")
def stack(parsed):
    """infra-stack.yml resolved for its defaults."""
    return Stack(parsed)
