"""The list of verbs, and those that read a definition."""

import json
import subprocess
import sys
from pathlib import Path

from pipelines import __version__
from pipelines.__main__ import VERBS

PACKAGE = Path(__file__).resolve().parents[2] / "pipelines"


def listed(*arguments):
    return subprocess.run([sys.executable, "-m", "pipelines", *arguments], capture_output=True, text=True, check=False)


def test_every_verb_is_listed_with_what_it_does():
    done = listed()
    assert done.returncode == 0
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert [verb for verb, _ in lines] == list(VERBS)
    assert set(VERBS) == {path.stem for path in PACKAGE.glob("*.py") if f"    run({path.stem})" in path.read_text()}
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_version_is_printed():
    assert listed("--version").stdout == f"{__version__}\n"


def test_a_verb_behind_it_is_told_how_it_is_called():
    assert listed("watch").stderr == "error: write python -m pipelines.watch\n"
    assert listed("wach").returncode == 2


def test_validate_and_graph_answer_json(here):
    assert json.loads(here("validate", "--task", "msi", "--json").out) == []
    arrows = json.loads(here("graph", "--task", "msi", "--json").out)["arrows"]
    assert {"from": "CheckMsi", "to": "RegisterMsi", "answer": "yes"} in arrows
