"""The images' entry point ``pathology-run`` as this machine starts it: its words, and all that its process sees."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ENTRY_POINT = REPOSITORY / "containers" / "pathology-run"
_INHERITED = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
)
"""All that a job or an endpoint sees of the environment that started it: no credentials, no settings of another project. Those that a
job has are the run's own, for calls of SageMaker that stay on this machine (:mod:`pipelines.local.endpoint`)."""


def environment(root: Path, uri_root: Path, threads: int) -> dict[str, str]:
    """Variables of a process whose ``root`` stands in place of /opt/ml, with buckets and file systems below ``uri_root``."""
    return {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "PATHOLOGY_ROOT": str(root),
        "PATHOLOGY_URI_ROOT": str(uri_root),
        "OMP_NUM_THREADS": str(max(1, threads)),
        "PYTHONUNBUFFERED": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def command(arguments: Sequence[str]) -> list[str]:
    """The entry point runs on the standard library alone: ``-I -S`` halves the time it takes to start."""
    return [sys.executable, "-I", "-S", str(ENTRY_POINT), *arguments]
