"""The local environment's own defaults: what a task's parameters are there, and nowhere else."""

import re

import pytest
from pathology.contracts.errors import RequestError

from pipelines.config import LOCAL, load_environment, load_task
from pipelines.local.defaults import defaults_path, write_defaults
from pipelines.tasks import NAMES, task_spec
from pipelines.tasks.parameters import keys_of, parameters


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path))
    return tmp_path


def defaults_of(task, environment="local"):
    return {spec.name: spec.default for spec in parameters(load_task(task, load_environment(environment)))}


TEXTS = {
    "Positive": "a", "Negative": "b,c", "TestValues": "x", "Project": "READ", "Sheet": "2", "SlideKinds": "frozen,normal",
    "DefaultMpp": "0.4", "DecideBy": "promised", "Prevalences": "0.2,0.4",
}  # fmt: skip
"""Other values of parameters that are words."""


@pytest.mark.parametrize("task", NAMES)
def test_every_parameter_of_a_pipeline_can_have_another_default(task, state):
    """Each is found in the YAML by its keys, and one that was not there before too."""
    before = defaults_of(task)
    assert keys_of(task_spec(task).pipeline().model).keys() == before.keys()
    changed = {name: str(value) for name, value in before.items()}
    for name, value in before.items():
        if name in TEXTS:
            changed[name] = TEXTS[name]
        elif name.endswith("Column"):
            changed[name] = "A column, with a comma"
        elif str(value).startswith("s3://"):
            changed[name] = "s3://local/mine/{braces} and so on"
        elif name.endswith("InstanceType"):
            changed[name] = "ml.c5.large"
        elif value in ("true", "false"):
            changed[name] = "true" if value == "false" else "false"
        elif isinstance(value, int):
            changed[name] = str(value + 1)
        elif isinstance(value, float):
            changed[name] = str(value / 2 or 0.5)
    write_defaults(state, task, changed)
    after = defaults_of(task)
    assert {name: str(value) for name, value in after.items()} == changed
    assert sum(after[name] != before[name] for name in before) >= len(before) - 6
    assert defaults_of(task, "example") == {
        spec.name: spec.default for spec in parameters(load_task(task, load_environment("example")))
    }


def test_they_are_the_local_environments_alone(state):
    write_defaults(state, "msi", {"Epochs": "3", "ManifestUri": "none"})
    assert (defaults_of("msi")["Epochs"], defaults_of("msi")["ManifestUri"]) == (3, "none")
    assert defaults_of("msi", "example")["Epochs"] == 20
    assert defaults_of("msi", "example")["ManifestUri"].startswith("s3://")
    assert {spec.name: spec.default for spec in parameters(load_task("msi", LOCAL))}["Epochs"] == 20
    assert defaults_of("mhist")["Epochs"] == 20


@pytest.mark.parametrize(
    ("value", "message"),
    [
        *(
            (text, rf"parameter Epochs={re.escape(ascii(text))}: should be a whole number")
            for text in ("many", "1_000", " 5 ", "１０")
        ),
        ("", "parameter Epochs='': is empty"),
        ("0", r"train\.hyperparameters\.epochs"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_file(state, value, message):
    write_defaults(state, "msi", {"Epochs": value})
    with pytest.raises(RequestError, match=rf"defaults/msi\.json of the local environment over msi\.yaml: {message}"):
        defaults_of("msi")


def test_a_parameter_that_is_gone_is_said(state, capsys):
    write_defaults(state, "msi", {"Epoch": "3", "Epochs": "4"})
    assert defaults_of("msi")["Epochs"] == 4
    assert capsys.readouterr().err == "the local environment has Epoch=3 by default, which msi has no more\n"


@pytest.mark.parametrize("content", ["{", "[]", '{"Epochs": 3}'])
def test_another_file_in_their_place_is_refused(state, content):
    path = defaults_path(state, "msi")
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(RequestError, match=r"msi\.json: should be values by parameter, in JSON: delete it"):
        load_environment("local")


def test_an_environment_in_aws_has_none(tmp_path, repository):
    text = (repository / "environments" / "example.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text + "defaults: {msi: {Epochs: '3'}}\n")
    with pytest.raises(RequestError, match=r"defaults: write them into pipeline_definitions/<task>\.yaml"):
        load_environment(str(tmp_path / "mine.yaml"))
