"""The demo's options: a person's own data by task, and what is refused."""

import json

import pytest
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from demo.__main__ import BUCKET, link_data, make_data, own_data
from pipelines.config import DEFINITIONS, LOCAL, load_task
from pipelines.parameters import check_parameters
from pipelines.tasks import NAMES, task_spec
from tests.made import made_once


def build_here(folder):
    """Each task's definition for this machine."""
    from pipelines.builder import build

    for task in NAMES:
        (folder / f"{task}.json").write_text(json.dumps(build(task, load_task(task, LOCAL), LOCAL).definition))


@pytest.fixture(scope="module")
def definitions():
    """The folder of the tasks' definitions: importing the SDK takes longer than the rest of this module."""
    return made_once("local-definitions", build_here, {path.name: path.read_text() for path in DEFINITIONS.glob("*.yaml")})


@pytest.mark.parametrize("task", NAMES)
def test_what_the_demo_gives_is_what_the_pipeline_takes(task, definitions):
    spec, root = task_spec(task).demo, "s3://local/demo/x"
    changed = {name: value.format(bucket=BUCKET) for name, value in spec.settings.items()}
    values = {**changed, **{name: f"{root}/{key}" for name, key in spec.data.items()}}
    assert check_parameters(json.loads((definitions / f"{task}.json").read_text()), values) == values
    assert set(spec.own) == set(spec.data)


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("msi", ["slides=x"], "give both SLIDES=<folder> and LABELS=<table>, or neither"),
        ("mhist", ["IMAGES=x"], "give both ANNOTATIONS=<table> and IMAGES=<folder>, or neither"),
        ("mhist", ["slides=x", "labels=y"], "LABELS is not data of TASK=mhist, which reads ANNOTATIONS and IMAGES"),
        ("msi", ["slides"], "--data slides: write NAME=PATH"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(task, given, message):
    with pytest.raises(RequestError, match=message):
        own_data(task, task_spec(task).demo, given)


@pytest.mark.parametrize("task", NAMES)
def test_own_data_are_linked_where_the_run_reads(task, tmp_path):
    spec, given = task_spec(task).demo, {}
    for name, is_folder in spec.own.values():
        given[name] = tmp_path / f"my-{name}"
        given[name].mkdir() if is_folder else given[name].write_text("table")
    paths = own_data(task, spec, [f"{name.upper()}={path}" for name, path in given.items()])
    values = link_data(tmp_path / "state", spec, paths)
    assert set(values) == set(spec.own)
    for parameter, (name, _) in spec.own.items():
        assert Uri.parse(values[parameter]).under(tmp_path / "state").resolve() == given[name]
    missing = next(iter(given))
    with pytest.raises(RequestError, match=f"{missing.upper()}=.*there is no such"):
        link_data(tmp_path / "state", spec, {**given, missing: tmp_path / "nowhere"})


def test_made_data_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.patches.PATCHES", 20)
    values = make_data(tmp_path, "mhist")
    table = Uri.parse(values["AnnotationsUri"]).under(tmp_path)
    assert (Uri.parse(values["ImagesUri"]).under(tmp_path) / "images.zip").is_file()
    table.write_text("mine")
    assert make_data(tmp_path, "mhist") == values
    assert table.read_text() == "mine"
