"""Lets the tests below import msi_jobs, and trains one small ensemble for all of them."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.chromium import PROGRAM, browser
from tests.made import made_once

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def msi_run(tmp_path_factory):
    """A finished training on features that carry a signal, trained once for all; see :class:`msi_jobs.MsiRun`."""
    from msi_jobs import MsiRun, make_msi_run

    return MsiRun.kept(shutil.copytree(made_once("msi-ensemble", make_msi_run), tmp_path_factory.mktemp("msi") / "run"))


@pytest.fixture(scope="session")
def chromium():
    """A tab of a real browser; see :class:`tests.chromium.Browser`."""
    if PROGRAM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with browser() as tab:
        yield tab


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The folder of s3://bucket."""
    root = tmp_path / "uris"
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(root))
    bucket = root / "s3" / "bucket"
    bucket.mkdir(parents=True)
    return bucket
