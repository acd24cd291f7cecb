"""Lets the tests below import msi_jobs, and trains one small ensemble for all of them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def msi_run(tmp_path_factory):
    """A finished training on features that carry a signal; see :class:`msi_jobs.MsiRun`."""
    from msi_jobs import MsiRun

    run = MsiRun(tmp_path_factory.mktemp("msi"), patients=100, positives=40, signal=2.5)
    run.train()
    return run
