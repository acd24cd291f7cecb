"""The demo's options: a person's own data by task, and what is refused."""

import json
from pathlib import Path

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from demo.__main__ import DEMOS, link_data, make_data, own_data
from pipelines.config import DEFINITIONS, LOCAL, TASKS, load_task
from pipelines.parameters import check_parameters
from tests.made import made_once

NONE = dict.fromkeys(("slides", "labels", "annotations", "images", "dataset"))


def build_here(folder):
    """Each task's definition for this machine."""
    from pipelines.builder import build

    for task in TASKS:
        (folder / f"{task}.json").write_text(json.dumps(build(task, load_task(task, LOCAL), LOCAL).definition))


@pytest.fixture(scope="module")
def definitions():
    """The folder of the tasks' definitions: importing the SDK takes longer than the rest of this module."""
    return made_once("local-definitions", build_here, {path.name: path.read_text() for path in DEFINITIONS.glob("*.yaml")})


@pytest.mark.parametrize("task", TASKS)
def test_what_the_demo_gives_is_what_the_pipeline_takes(task, definitions):
    root = "s3://local/demo/x"
    values = {**DEMOS[task].settings, **{name: f"{root}/{key}" for name, key in DEMOS[task].data.items()}}
    assert check_parameters(json.loads((definitions / f"{task}.json").read_text()), values) == values
    assert set(DEMOS[task].own) == set(DEMOS[task].data)


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("msi", {"slides": "x"}, "give both SLIDES=<folder> and LABELS=<table>, or neither"),
        ("mhist", {"images": "x"}, "give both ANNOTATIONS=<table> and IMAGES=<folder>, or neither"),
        ("mhist", {"slides": "x", "labels": "y"}, "LABELS is no data of TASK=mhist, which reads ANNOTATIONS and IMAGES"),
        ("brain", {}, "there is no task 'brain': choose one of msi, mhist, lizard"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(task, given, said):
    with pytest.raises(RequestError, match=said):
        own_data(task, {**NONE, **{name: Path(path) for name, path in given.items()}})


@pytest.mark.parametrize("task", TASKS)
def test_own_data_are_linked_where_the_run_reads(task, tmp_path):
    given = {}
    for option, is_folder in DEMOS[task].own.values():
        given[option] = tmp_path / f"my-{option}"
        given[option].mkdir() if is_folder else given[option].write_text("table")
    values = link_data(tmp_path / "state", task, own_data(task, {**NONE, **given}))
    assert set(values) == set(DEMOS[task].own)
    for parameter, (option, _) in DEMOS[task].own.items():
        assert Uri.parse(values[parameter]).under(tmp_path / "state").resolve() == given[option]
    missing = next(iter(given))
    with pytest.raises(RequestError, match=f"{missing.upper()}=.*there is no such"):
        link_data(tmp_path / "state", task, {**given, missing: tmp_path / "nowhere"})


def test_made_data_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.__main__.PATCHES", 20)
    values = make_data(tmp_path, "mhist")
    table = Uri.parse(values["AnnotationsUri"]).under(tmp_path)
    assert (Uri.parse(values["ImagesUri"]).under(tmp_path) / "images.zip").is_file()
    table.write_text("mine")
    assert make_data(tmp_path, "mhist") == values
    assert table.read_text() == "mine"
