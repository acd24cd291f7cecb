"""What every test needs: no AWS account, no telemetry, the real data where it lies beside the project."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test of time, and the same examples everywhere: what is green here is green on a loaded machine too.
settings.register_profile("everywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("everywhere")

os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    SAGEMAKER_VALIDATE_ROLE="false",
    SAGEMAKER_TELEMETRY_OPT_OUT="true",
)
os.environ.pop("PATHOLOGY_ENVIRONMENT", None)

HEAVY = {"torch", "lightning", "torchmetrics", "timm", "peft", "sklearn", "sagemaker", "moto", "cfnlint", "matplotlib"}
"""Libraries that take seconds to import."""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Collecting is quick: what a test does not use it does not wait for."""
    report = yield
    if isinstance(collector, pytest.Module) and (loaded := sorted(HEAVY & sys.modules.keys())):
        raise pytest.UsageError(f"{collector.nodeid} imports {loaded[0]} when it is collected: import it in tests and fixtures")
    return report


REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real slides, nuclei and tables; the test is skipped where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data is absent: {SHARED_DATA.parent.name}/{SHARED_DATA.name} beside the checkout")
    return SHARED_DATA
