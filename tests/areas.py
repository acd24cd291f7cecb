"""Runs the tests by area, each in a pytest process of its own that collects its own folders: ``python -m tests.areas [AREA …]``.

Several areas run side by side, one more than there are cores, as many tests wait for servers and pauses. What pytest prints of an
area comes when the area ends; until then its progress is shown. The last line counts the tests of all.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

REPOSITORY = Path(__file__).resolve().parents[1]
AREAS = {
    "journeys": ("tests/end_to_end",),
    "learning": ("tests/pathology",),
    "runs": ("tests/pipelines/local",),
    "jobs": ("tests/pathology/commands", "tests/demo", "tests/benchmarks"),
    "authoring": ("tests/pipelines", "tests/docs", "tests"),
    "serving": (
        *("tests/pathology/serving", "tests/benchmarks/test_serving.py"),
        *("tests/end_to_end/test_deployed.py", "tests/end_to_end/test_predict.py"),
    ),
    "slides": ("tests/pathology/wsi", "tests/pathology/test_extraction_chaos.py", "tests/demo/test_slides.py"),
    "infra": ("tests/infra", "tests/containers"),
}
"""The areas, those that take longest first. A test module belongs to the area that names the longest part of its path."""

SLOW = "mark.slow"
"""What a module with slow tests has in it."""

PROGRESS = "%]"
"""How pytest's lines of dots end."""

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): whoever loses its parent becomes a child of this process. So its CPU time is seen: local runs detach themselves."""

OUTCOMES = ("passed", "failed", "skipped")
"""A test that fails as its xfail mark says has passed; pytest's own lines name it."""


def modules(area: str, slow: bool = False) -> list[str]:
    """The test modules of an area, relative to the repository and sorted; those that have slow tests alone, where ``slow``."""
    every = sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    members = [module for module in every if area_of(module) == area]
    return [module for module in members if SLOW in (REPOSITORY / module).read_text()] if slow else members


def area_of(module: str) -> str:
    """The area of ``tests/…/test_….py``."""
    parts = [(part, area) for area, named in AREAS.items() for part in named if module == part or module.startswith(f"{part}/")]
    return max(parts, key=lambda one: len(one[0]))[1]


@dataclass
class Running:
    """An area's process, and what is known of it when it has ended."""

    area: str
    process: subprocess.Popen[bytes]
    output: Path
    record: Path
    since: float = field(default_factory=time.monotonic)
    shown: int = 0

    def show_progress(self) -> None:
        """Print the lines of dots that are new."""
        text = self.output.read_text(errors="replace")
        complete = text[: text.rfind("\n") + 1]
        for line in complete[self.shown :].splitlines():
            if line.rstrip().endswith(PROGRESS):
                print(f"{self.area:<{max(map(len, AREAS))}} {line}", flush=True)
        self.shown = len(complete)

    def show_rest(self) -> None:
        """Print all else."""
        rest = [line for line in self.output.read_text(errors="replace").splitlines() if not line.rstrip().endswith(PROGRESS)]
        print("\n".join([f"\n---- {self.area}, {time.monotonic() - self.since:.0f} s ----", *rest]).rstrip() + "\n", flush=True)


def start(area: str, folder: Path, slow: bool, arguments: list[str]) -> Running:
    """Start an area's pytest."""
    output, record = folder / f"{area}.txt", folder / f"{area}.json"
    words = [
        "-q",
        "-p",
        "tests.record",
        "-m",
        "slow" if slow else "not slow",
        f"--color={'yes' if sys.stdout.isatty() else 'no'}",
    ]
    command = [sys.executable, "-m", "pytest", *words, *arguments, *modules(area, slow)]
    environment = {**os.environ, "TESTS_RECORD": str(record)}
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT)
    return Running(area, process, output, record)


def run(areas: list[str], slow: bool, processes: int, arguments: list[str]) -> list[dict]:
    """Run the areas and print what they print; each one's record."""
    waiting = [area for area in areas if modules(area, slow)]  # pytest takes no module for all modules
    running: dict[int, Running] = {}
    records = []
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < processes:
                one = start(waiting.pop(0), Path(folder), slow, arguments)
                running[one.process.pid] = one
            for pid, code in ended():
                if pid in running:
                    one = running.pop(pid)
                    one.process.returncode = code
                    one.show_progress()
                    one.show_rest()
                    records.append(read_record(one, code))
            for one in running.values():
                one.show_progress()
            time.sleep(0.2)
    return records


def ended() -> list[tuple[int, int]]:
    """Process id and exit code of every child, adopted ones too, that has ended since it was last asked."""
    children: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return children
        if pid == 0:
            return children
        children.append((pid, os.waitstatus_to_exitcode(status)))


def read_record(one: Running, code: int) -> dict:
    """What the plugin wrote; of a pytest that died, that it failed."""
    empty: dict = {"outcomes": {}, "tests": []}
    record = json.loads(one.record.read_text()) if one.record.is_file() else empty
    return {"area": one.area, "code": code, **record}


def adopt_orphans() -> None:
    """Become the parent of all that the tests leave behind, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def heed_interrupts() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored, which goes down to every process; tests send it to some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def show_times(records: list[dict], most: int) -> None:
    """CPU seconds in all, and of the tests that took most: their set-up, their own and their processes'."""
    tests = sorted((test for record in records for test in record["tests"]), key=lambda test: -test["cpu"])
    for test in tests[:most]:
        print(f"{test['cpu']:7.1f} CPU-s {test['wall']:7.1f} s  {test['name']}")
    mine, processes = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(use.ru_utime + use.ru_stime for use in (mine, processes))
    print(f"{cpu:7.1f} CPU-s in all, {sum(test['cpu'] for test in tests[:most]):.1f} of them in the {most} slowest tests")


def main(
    areas: Annotated[list[str] | None, typer.Argument(help=f"Some of {', '.join(AREAS)}; all when none is given.")] = None,
    slow: Annotated[bool, typer.Option("--slow", help="The slow tests instead.")] = False,
    times: Annotated[
        int, typer.Option("--times", help="Show CPU seconds in all, and those of so many tests that took most.")
    ] = 0,
    processes: Annotated[int, typer.Option("--processes", help="Areas at one time.", min=1)] = (os.cpu_count() or 1) + 1,
    pytest_arguments: Annotated[str, typer.Option("--pytest", help="More arguments of pytest.")] = "",
) -> None:
    """Run areas of the tests; exit 1 when one fails."""
    chosen = areas or list(AREAS)
    if unknown := [area for area in chosen if area not in AREAS]:
        raise typer.BadParameter(f"there is no area {', '.join(unknown)}: give some of {', '.join(AREAS)}")
    since = time.monotonic()
    adopt_orphans()
    heed_interrupts()
    records = run(chosen, slow, processes, pytest_arguments.split())
    if times:
        show_times(records, times)
    bad = [record["area"] for record in records if record["code"]]
    if bad:
        print(f"failed: {', '.join(bad)}")
    counts = {outcome: sum(record["outcomes"].get(outcome, 0) for record in records) for outcome in OUTCOMES}
    print(f"{time.monotonic() - since:.0f} s")
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    raise typer.Exit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
