import copy
import sys
from pathlib import Path

import pytest

from infra.checks.suite import TEMPLATES
from infra.checks.template import Stack, parse

sys.path.insert(0, str(Path(__file__).parent))


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
