import copy
import sys
from pathlib import Path

import pytest

from infra.checks.joining import joined
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
def network():
    """network-stack.yml as data; nobody changes it."""
    return parse(TEMPLATES["network-stack"])


@pytest.fixture(scope="session")
def platform():
    """platform-stack.yml as data; nobody changes it."""
    return parse(TEMPLATES["platform-stack"])


@pytest.fixture(scope="session")
def parsed(network, platform):
    """The network and the platform in it, as one template; nobody changes it."""
    return joined(network, platform)


@pytest.fixture
def template(parsed):
    """The network and the platform in it, as one template that a test may change."""
    return copy.deepcopy(parsed)


@pytest.fixture(scope="session")
def stack(parsed):
    """The network and the platform in it, resolved for their defaults."""
    return Stack(parsed)
