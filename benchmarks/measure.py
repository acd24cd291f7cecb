"""What every benchmark needs: processes timed, and figures printed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def seconds_of(work: Callable[[], object]) -> float:
    """How long a call takes."""
    since = time.perf_counter()
    work()
    return time.perf_counter() - since


def run_python(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Run this interpreter with ``arguments`` from the checkout to its end; its output is dropped.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def interleaved(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median seconds of each, taken in turns, so that a slow moment of the machine hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds_of(work))
    return {name: statistics.median(taken) for name, taken in times.items()}


def print_figures(figures: Mapping[str, float | int | Sequence[float]]) -> None:
    """Each figure on a line for people, then all as one JSON object on the last line."""
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    for name, value in rounded.items():
        print(f"{name:40} {value}")
    print(json.dumps(rounded))
