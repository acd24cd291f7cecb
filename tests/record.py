"""A pytest plugin: writes how many tests passed, and what each took, to the file that TESTS_RECORD names."""

from __future__ import annotations

import json
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_outcomes: Counter[str] = Counter()
_tests: list[dict[str, Any]] = []


def _spent() -> tuple[float, float]:
    """CPU seconds of this process and of its children that have ended, and the clock."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses), time.monotonic()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Set-up and teardown count too: a shared fixture's with the first and the last test that uses it."""
    cpu, since = _spent()
    result = yield
    later, now = _spent()
    _tests.append({"name": item.nodeid, "cpu": round(later - cpu, 3), "wall": round(now - since, 3)})
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test has one outcome; a set-up or a teardown that fails is one more."""
    if report.when == "call" or report.outcome != "passed":
        _outcomes["passed" if hasattr(report, "wasxfail") and report.outcome == "skipped" else report.outcome] += 1


def pytest_sessionfinish() -> None:
    """Whole or not at all."""
    path = Path(os.environ["TESTS_RECORD"])
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps({"outcomes": _outcomes, "tests": _tests}))
    beside.replace(path)
