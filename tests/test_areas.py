"""The areas: every test module has one, folders of tests are folders of the source, and what fails in one area fails the run."""

import subprocess
import sys
from collections import Counter

import pytest

from tests import areas

MODULES = sorted(path.relative_to(areas.REPOSITORY).as_posix() for path in (areas.REPOSITORY / "tests").rglob("test_*.py"))
OF_NO_FOLDER = {"end_to_end"}
"""Folders of tests about no folder of the source alone."""

TWO_AREAS = """
import sys
from pathlib import Path
from tests import areas

areas.REPOSITORY = Path(sys.argv[1])
areas.AREAS = {"good": ("tests/good",), "bad": ("tests/bad",)}
sys.argv[1:] = sys.argv[2:]
areas.typer.run(areas.main)
"""


def test_every_module_is_run_once():
    assert Counter(module for area in areas.AREAS for module in areas.modules(area)) == Counter(MODULES)


@pytest.mark.parametrize("area", areas.AREAS)
def test_an_area_names_what_is_there(area):
    assert areas.modules(area)
    assert [named for named in areas.AREAS[area] if not (areas.REPOSITORY / named).exists()] == []


def test_folders_of_tests_are_folders_of_the_source(repository):
    folders = {tuple(module.split("/")[1:-1]) for module in MODULES} - {()}
    places = {folder: repository.joinpath(*(("containers",) if folder[0] == "pathology" else ()), *folder) for folder in folders}
    assert {"/".join(folder) for folder, place in places.items() if not place.is_dir()} == OF_NO_FOLDER


@pytest.fixture
def two_areas(tmp_path):
    """A function that runs two areas of a few tests, with arguments."""
    for name, text in {
        "good/test_good.py": "import pytest\n\ndef test_one():\n    pass\n\n@pytest.mark.xfail(strict=True)\ndef test_two():\n    assert 0\n",
        "bad/test_bad.py": "import pytest\n\ndef test_one():\n    assert 1 == 2\n\n@pytest.mark.skip\ndef test_two():\n    pass\n",
    }.items():
        (tmp_path / "tests" / name).parent.mkdir(parents=True)
        (tmp_path / "tests" / name).write_text(text)
    environment = {**areas.os.environ, "PYTHONPATH": str(areas.REPOSITORY)}

    def run(*arguments):
        command = [sys.executable, "-c", TWO_AREAS, str(tmp_path), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_failure_in_one_area_fails_the_run_and_the_last_line_counts_all(two_areas):
    done = two_areas("--times", "1")
    assert done.returncode == 1
    *_, failed, _, totals = done.stdout.splitlines()
    assert (failed, totals) == ("failed: bad", "2 passed, 1 failed, 1 skipped")
    assert "assert 1 == 2" in done.stdout
    assert "CPU-s in all" in done.stdout
    assert two_areas("good").stdout.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"


def test_an_area_without_slow_tests_runs_none(two_areas):
    done = two_areas("--slow")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0 passed, 0 failed, 0 skipped")


def test_an_unknown_area_is_refused(two_areas):
    refused = two_areas("nowhere")
    assert refused.returncode == 2
    assert "there is no area nowhere" in refused.stderr
