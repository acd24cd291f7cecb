"""The bench of reading runs whole, on small slides, and finds the same bytes whatever the threads."""

import json
import subprocess
import sys

import pytest

from benchmarks.measure import REPOSITORY


@pytest.mark.slow
def test_the_bench_runs_and_finds_the_same_bytes_with_any_number_of_threads():
    command = [sys.executable, "-m", "benchmarks.extraction", "--side", "2400", "--repeats", "1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["same_bytes"] == 1
    for slide in ("20x", "40x", "uneven_40x", "jpeg2000_20x", "jpeg2000_40x"):
        assert {figures[f"{figure}_{slide}"] > 0 for figure in ("tiles_per_s", "ratio_openslide", "share_of_strict_limit")} == {
            True
        }
    assert 0 < figures["peak_mb"] < 1000
