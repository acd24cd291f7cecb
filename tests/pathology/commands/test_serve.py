"""What the endpoint says when it cannot start; that it answers is in tests/benchmarks/test_serving.py and tests/pathology/serving."""

import json
import logging
import os
import runpy
import subprocess
import sys

import pytest
from pathology.commands import serve
from pathology.contracts.errors import RequestError
from pathology.serving.code import endpoint_code

from tests.made import REPOSITORY

SERVED = ("msi", "mhist", "lizard")


@pytest.fixture
def ended(tmp_path, monkeypatch, capsys):
    """Runs the command over a model whose config.json is ``config``: it has to end by itself. Its exit code and what it says."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []

    def run(config, port=None):
        (tmp_path / "model").mkdir()
        if config is not None:
            (tmp_path / "model" / "config.json").write_text(config)
        monkeypatch.setenv("PATHOLOGY_ROOT", str(tmp_path))
        if port is not None:
            monkeypatch.setenv("PATHOLOGY_PORT", port)
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(serve.__file__, run_name="__main__")
        return caught.value.code, capsys.readouterr().err

    yield run
    root.handlers, root.level = before, level


NO_CODE = "have no endpoint: this code holds none for it"


@pytest.mark.parametrize(
    ("config", "port", "code", "message"),
    [
        (None, None, 1, "holds no model (FileNotFoundError at config.json): unpack model.tar.gz there"),
        ("{", None, 1, "holds no model (JSONDecodeError at config.json)"),
        ("[]", None, 1, "holds no model (TypeError at config.json)"),
        ("{}", None, 1, "holds no model (KeyError at config.json)"),
        ('{"task": "msi"}', None, 1, "config.json is not a model configuration"),
        ('{"task": "grading"}', None, 2, f"models of task 'grading' {NO_CODE}"),
        ('{"task": ["mhist"]}', None, 2, f"models of task ['mhist'] {NO_CODE}"),
        ('{"task": null}', None, 2, f"models of task None {NO_CODE}"),
        ('{"task": "mhist", "format_version": 1}', None, 1, "config.json"),
        ('{"task": "mhist"}', "http", 2, "PATHOLOGY_PORT='http' is not a port"),
        ('{"task": "mhist"}', "65536", 2, "PATHOLOGY_PORT='65536' is not a port"),
        ('{"task": "mhist"}', "-1", 2, "PATHOLOGY_PORT='-1' is not a port"),
        (None, "0", 1, "holds no model"),
    ],
)
def test_what_cannot_be_served_is_one_line(ended, config, port, code, message):
    exit_code, text = ended(config, port)
    assert (exit_code, text.count("\n")) == (code, 1)
    assert text.startswith("error: ")
    assert message in text


def write_config(folder, task):
    (folder / "config.json").write_text(json.dumps({"task": task}))
    return folder


@pytest.mark.parametrize(
    "task",
    [
        "",
        "Mhist",
        "mhist.serving",
        "..mhist",
        "mhist/../lizard",
        "mhist\n",
        "1mhist",
        "_mhist",
        "os",
        "serving",
        "mhıst",
        "a" * 64,
    ],
)
def test_a_name_that_is_not_a_tasks_is_refused_and_nothing_is_imported(tmp_path, monkeypatch, task):
    monkeypatch.setattr(serve.importlib, "import_module", lambda name: pytest.fail(f"{name} is imported"))
    with pytest.raises(RequestError, match=NO_CODE) as caught:
        serve.task_of(write_config(tmp_path, task))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", SERVED)
def test_a_task_is_found_by_its_name(tmp_path, task):
    serving = serve.task_of(write_config(tmp_path, task))
    assert serving.__name__ == f"pathology.tasks.{task}.serving" and serving.BATCH > 0


@pytest.mark.parametrize("task", SERVED)
def test_a_version_says_of_itself_what_its_endpoint_does_and_nothing_that_it_cannot(tmp_path, task):
    serving = serve.task_of(write_config(tmp_path, task))
    steps = json.loads((REPOSITORY / "pipeline_definitions" / f"{task}.json").read_text())["Steps"]
    (check,) = [step for step in steps if step["Type"] == "Condition"]
    (register,) = [step for step in check["Arguments"]["IfSteps"] if step["Type"] == "RegisterModel"]
    said = register["Arguments"]["InferenceSpecification"]
    assert said.keys() == {
        *("Containers", "SupportedContentTypes", "SupportedResponseMIMETypes"),
        "SupportedRealtimeInferenceInstanceTypes",
    }
    assert (said["SupportedContentTypes"], said["SupportedResponseMIMETypes"]) == (list(serving.TAKES), list(serving.ANSWERS))
    assert said["SupportedRealtimeInferenceInstanceTypes"]
    for kind in serving.ANSWERS:
        assert serving.media_type(kind) == kind


def test_its_process_ends_so_too(tmp_path):
    command, env = [sys.executable, "-m", "pathology.commands.serve"], {**os.environ, "PATHOLOGY_ROOT": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=300)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: ") and "holds no model" in done.stderr


@pytest.mark.parametrize("task", SERVED)
def test_the_code_of_a_model_is_its_tasks_and_the_endpoints(task):
    module = f"pathology.tasks.{task}.serving"
    files = endpoint_code(module).files
    assert {"pathology/commands/serve.py", "pathology/serving/app.py", f"{module.replace('.', '/')}.py"} <= files.keys()
    assert not [path for path in files if "train" in path.rpartition("/")[2] and "commands" in path]
    assert {path.split("/")[2] for path in files if path.startswith("pathology/tasks/") and path.count("/") > 2} == {task}


def test_a_task_without_a_module_is_refused():
    with pytest.raises(RequestError, match="no module"):
        endpoint_code("pathology.tasks.nothing.serving")
