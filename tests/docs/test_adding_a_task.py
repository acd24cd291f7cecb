"""docs/adding-a-task.md, carried out in a copy of the project: a fourth task in new files and one line, and one more hyperparameter."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from pipelines.differences import differences
from tests.made import REPOSITORY, made_once

EXAMPLE = REPOSITORY / "docs" / "adding-a-task"
LIST = "pipelines/tasks/__init__.py"
PARTS = ("pipelines", "steps", "demo", "containers", "pipeline_definitions", "environments")
HYPERPARAMETER = '    mixup: float = setting(0.25, "Fraction of bags that are mixed.", parameter=True, ge=0, le=1)\n'
VERBS = """
import sys
from pipelines.render import render
from pipelines.validate import validate

sys.exit(validate(sys.argv[1]) or render())
"""
COMPILED = """
import json, sys
from pipelines.builder import build
from pipelines.checks.definition import check
from pipelines.config import load_environment, load_task

env = load_environment("example")
print(json.dumps([build(task, load_task(task, env), env).definition for task in sys.argv[1:]]))
"""


def python(root, *arguments, **variables):
    """Python in a copy of the project; what it prints."""
    path = os.pathsep.join([str(root), str(root / "containers")])
    environment = {**os.environ, "PYTHONPATH": path, "PATHOLOGY_STATE": str(root / "state"), **variables}
    done = subprocess.run([sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_project(root):
    """The parts of the project that run."""
    for part in PARTS:
        shutil.copytree(REPOSITORY / part, root / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


def add_task(root):
    """The example's files, none of which is there already, and its one line."""
    copy_project(root)
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = root / path.relative_to(EXAMPLE)
            assert not target.exists(), target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    add_line(root / LIST, '    "lizard",\n', '    "tumour",\n')


def add_hyperparameter(root):
    """One line in TrainMsi."""
    copy_project(root)
    settings = root / "containers" / "pathology" / "contracts" / "msi" / "train.py"
    add_line(settings, settings.read_text().splitlines(keepends=True)[-1], HYPERPARAMETER)


def add_line(path, after, line):
    text = path.read_text()
    assert text.count(after) == 1
    path.write_text(text.replace(after, after + line))


def with_task(folder):
    """A copy with the fourth task, its definition rendered and validated."""
    add_task(folder)
    (folder / "printed.txt").write_text(python(folder, "-c", VERBS, "tumour"))


def with_hyperparameter(folder):
    """A copy with one more hyperparameter of TrainMsi, and all definitions as it builds them."""
    add_hyperparameter(folder)
    (folder / "compiled.json").write_text(python(folder, "-c", COMPILED, "msi", "mhist", "lizard"))


ALSO = (*PARTS, "docs/adding-a-task")


@pytest.mark.slow
def test_a_fourth_task_is_built_validated_and_rendered():
    root = made_once("fourth-task", with_task, also=ALSO)
    printed = (root / "printed.txt").read_text().splitlines()
    others = ["msi.json is up to date", "msi-predict.json is up to date", "mhist.json is up to date", "lizard.json is up to date"]
    assert printed == ["pathology-tumour: valid", *others, "tumour.json written"]
    definition = json.loads((root / "pipeline_definitions" / "tumour.json").read_text())
    assert [step["Name"] for step in definition["Steps"]] == [
        *("PrepareTumour", "StageTumour", "TrainTumour", "EvaluateTumour", "CompareTumour", "CheckTumour")
    ]


@pytest.mark.slow
def test_one_line_adds_a_hyperparameter_that_studio_shows():
    root = made_once("one-hyperparameter", with_hyperparameter, also=ALSO)
    from pipelines.builder import build
    from pipelines.config import load_environment, load_task

    env = load_environment("example")
    tasks = ("msi", "mhist", "lizard")
    before = [build(task, load_task(task, env), env).definition for task in tasks]
    after = json.loads((root / "compiled.json").read_text())
    found = {line for old, new in zip(before, after, strict=True) for line in differences(old, new)}
    code = {line for line in found if ".InputDataConfig[code]." in line}
    assert len(code) == 1 and next(iter(code)).startswith("Steps[TrainMsi].")  # no other step has to run again
    checkpoints = {line for line in found if ".CheckpointConfig." in line}  # named by all parameters of a training
    assert checkpoints and all(line.startswith("Steps[TrainMsi].") for line in checkpoints)
    assert found - code - checkpoints == {
        'Parameters[Mixup]: new {"Name": "Mixup", "Type": "Float", "DefaultValue": 0.25}',
        'Steps[TrainMsi].Arguments.HyperParameters.mixup: new {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Mixup"}]}}',
    }


@pytest.mark.slow
def test_the_fourth_task_runs_here_to_a_registered_version(tmp_path):
    add_task(tmp_path)
    printed = python(tmp_path, "-m", "demo", "--task", "tumour")
    assert "model package: arn:aws:sagemaker:us-east-1:000000000000:model-package/pathology-tumour/1" in printed
    assert "AUROC: " in printed
    (report,) = tmp_path.glob("state/s3/**/EvaluateTumour/evaluation/evaluation.json")
    version = json.loads(report.read_text())["pathology"]["model"]["version"]
    assert f"model version: {version}, as an endpoint of it answers" in printed
