"""The demo's options: a person's own data by task, and what is refused."""

import json
import shlex

import pytest
from pathology.contracts.encoder import MANIFEST
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from demo.__main__ import BUCKET, demo, link_data, link_encoder, make_data, next_commands, own_data
from pipelines.config import DEFINITIONS, LOCAL, load_environment, load_task
from pipelines.parameters import check_parameters
from pipelines.tasks import NAMES, task_spec
from pipelines.tasks.parameters import parameters
from tests.made import made_once
from tests.pipelines import registry
from tests.pipelines.on_aws import here
from tests.tiny_encoder import copy_tiny_encoder

assert here  # a fixture


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
    changed = {name: value.format(bucket=BUCKET) for name, value in spec.values(made=True, tiny=True).items()}
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
        ("msi", ["colour=x"], "COLOUR is not data of TASK=msi, which reads SLIDES and LABELS, and takes ENCODER"),
        ("msi", ["ENCODER=x", "SLIDES=y"], "give both SLIDES=<folder> and LABELS=<table>, or neither"),
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
    paths, encoder = own_data(task, spec, [f"{name.upper()}={path}" for name, path in given.items()])
    assert encoder is None
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


def test_an_encoder_of_ones_own_goes_with_any_data(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for task in NAMES:
        assert own_data(task, task_spec(task).demo, ["ENCODER=~/mine"]) == ({}, tmp_path / "mine")


def test_an_encoder_that_is_not_whole_is_refused_with_the_remedy(tmp_path, capsys):
    folder, state = tmp_path / "mine", tmp_path / "state"
    copy_tiny_encoder(folder)
    assert (Uri.parse(link_encoder(state, folder)).under(state) / MANIFEST).is_file()
    assert capsys.readouterr().out == f"the encoder is tiny-seeded, of {folder}\n"
    (folder / "checkpoint.pth").unlink()
    with pytest.raises(RequestError, match=r"ENCODER=.*mine: no checkpoint\.pth there, which encoder\.json names"):
        link_encoder(state, folder)
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(RequestError, match=r"mine/encoder\.json.*: write it again with python -m pathology\.encoders\.describe"):
        link_encoder(state, folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(
        RequestError, match=rf"no encoder\.json there: python -m pathology\.encoders\.describe {folder} writes it"
    ):
        link_encoder(state, folder)
    with pytest.raises(RequestError, match="there is no such folder"):
        link_encoder(state, tmp_path / "nowhere")


@pytest.mark.parametrize("task", NAMES)
def test_what_the_demo_ran_on_is_what_the_pipeline_has_by_default_from_then_on(task, tmp_path, monkeypatch, capsys):
    """The verbs that follow need not be told again, in whichever order they come."""
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path))
    ran = []
    monkeypatch.setattr("pipelines.upsert.upsert", lambda task, **_: ran.append((task, "upsert")) or 0)
    monkeypatch.setattr("pipelines.start.start", lambda task, **given: ran.append((task, given["param"])) or 0)
    monkeypatch.setattr(
        "demo.__main__.make_data", lambda state, task: {name: f"s3://local/{name}" for name in task_spec(task).demo.data}
    )
    monkeypatch.setattr("demo.__main__.make_encoder", lambda state: "s3://local/tiny")
    monkeypatch.setattr("demo.__main__.refuse_values", lambda *_: None)  # builds the pipeline, for which the test below is enough
    gate = "MinBpq" if task == "lizard" else "MinAuroc"

    def by_default():
        return {spec.name: str(spec.default) for spec in parameters(load_task(task, load_environment("local")))}

    yaml_s = by_default()
    assert demo(task, param=[f"{gate}=0.9"]) == 0
    assert ran == [(task, "upsert"), (task, [f"{gate}=0.9"])]
    assert f"{gate}=0.9 of this run alone; python -m pipelines.start --task {task} --like latest" in capsys.readouterr().out
    spec = task_spec(task).demo
    assert by_default() == {
        **yaml_s,
        **{name: value.format(bucket=BUCKET) for name, value in spec.values(made=True, tiny=True).items()},
        **{name: f"s3://local/{name}" for name in spec.data},
        "EncoderUri": "s3://local/tiny",
    }
    assert by_default()[gate] != yaml_s[gate]

    given = []
    for name, is_folder in spec.own.values():
        path = tmp_path / f"my-{name}"
        path.mkdir() if is_folder else path.touch()
        given.append(f"{name}={path}")
    copy_tiny_encoder(tmp_path / "encoder")
    assert demo(task, data=[*given, f"ENCODER={tmp_path}/encoder"]) == 0
    out = capsys.readouterr().out
    assert all(f"({path.partition('=')[2]})" in out for path in given), "the paths as they were given"
    now = by_default()
    assert now[gate] == yaml_s[gate], "a real encoder is held to the task's own gate"
    assert all(now[name].startswith("s3://local/own/") for name in (*spec.own, "EncoderUri"))
    changed = {name for name in now if now[name] != yaml_s[name]}
    assert changed == {*spec.own, "EncoderUri", *spec.here}


def test_what_is_said_of_ones_own_data_stays_with_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path))
    ran = []
    monkeypatch.setattr("pipelines.upsert.upsert", lambda task, **_: 0)
    monkeypatch.setattr("pipelines.start.start", lambda task, **given: ran.append(given["param"]) or 0)
    monkeypatch.setattr("demo.__main__.make_encoder", lambda state: "s3://local/tiny")
    (tmp_path / "table.csv").touch()
    own = [f"annotations={tmp_path}/table.csv", f"images={tmp_path}"]
    assert (
        demo(
            "mhist",
            data=own,
            param=["Positive=adenoma", "Negative=polyp", "Epochs=3", "Seed=4", "PrepareInstanceType=ml.c5.xlarge"],
        )
        == 0
    )
    assert ran == [["Epochs=3", "Seed=4", "PrepareInstanceType=ml.c5.xlarge"]]

    def by_default():
        return {spec.name: str(spec.default) for spec in parameters(load_task("mhist", load_environment("local")))}

    assert [by_default()[name] for name in ("Positive", "Negative", "Epochs")] == ["adenoma", "polyp", "20"]
    assert "Positive=adenoma" in capsys.readouterr().out
    (tmp_path / "executions" / "one").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for given, message in (
        ("PatchSide=wide", "parameter PatchSide='wide': should be a whole number"),
        ("PatchSide=2_24", "parameter PatchSide='2_24': should be a whole number"),
        ("Positive=", "parameter Positive='': is empty"),
        ("Epochs= 5", "parameter Epochs=' 5': should be a whole number"),
        ("TrainInstanceType=ml.x", "parameter TrainInstanceType='ml.x': TrainMhist: "),
    ):
        with pytest.raises(RequestError, match=message):
            demo("mhist", data=own, fresh=True, param=[given])
    assert sorted(tmp_path.rglob("*")) == before, "nothing is forgotten for a value that cannot be"
    assert (by_default()["PatchSide"], by_default()["Epochs"]) == ("224", "20"), "nor is it kept"


def test_what_it_says_to_do_next_works_as_it_is_typed(tmp_path, monkeypatch, here):
    from pipelines.service.session import open_session

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path))
    monkeypatch.setenv("PATHOLOGY_ENVIRONMENT", "example")
    session = open_session(LOCAL)
    session.sagemaker.create_model_package_group(ModelPackageGroupName=registry.GROUP)
    assert [command.split()[2] for command in next_commands("msi", passed=True)] == ["pipelines.executions", "pipelines.show"]
    placeholder = {**registry.ENCODER, "origin": "placeholder with seeded weights", "placeholder": True}
    registry.add(session.sagemaker, session.store, "local", encoder=placeholder)
    folder = Uri("s3", "local", f"runs/{registry.GROUP}/execution001/EvaluateMsi/evaluation")
    session.store.write(folder / "report.html", b"<html><body></body></html>")
    commands = [shlex.split(command) for command in next_commands("msi", passed=True)]
    assert [words[2] for words in commands] == ["pipelines.versions", "pipelines.report", "pipelines.approve", "pipelines.deploy"]
    for _, _, verb, *words in commands:
        # What is registered here has no code that could serve.
        done = here(verb.removeprefix("pipelines."), *words, *(["--dry-run"] if verb == "pipelines.deploy" else []))
        assert done.code == 0, done.err
    assert '"operation": "CreateEndpoint"' in done.out
