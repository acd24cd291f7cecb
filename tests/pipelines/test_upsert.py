"""The verb upsert, against moto's server."""

import subprocess
import sys

import pytest
import yaml

from pipelines import config

EXAMPLE = ("--task", "msi", "--environment", "example")


def test_the_verb_creates_then_says_unchanged_then_shows_what_changed(server, here, tmp_path, monkeypatch):
    assert here("upsert", *EXAMPLE, "--diff").code == 1
    first = here("upsert", *EXAMPLE)
    assert first.code == 0, first.err
    assert "pipeline pathology-msi created" in first.out
    assert first.err.startswith("environment example (account 111122223333, us-east-1)")
    assert "pipeline pathology-msi unchanged" in here("upsert", *EXAMPLE).out
    same = here("upsert", *EXAMPLE, "--diff")
    assert (same.code, same.out) == (0, "pipeline pathology-msi is the same\n")

    content = yaml.safe_load((config.DEFINITIONS / "msi.yaml").read_text())
    content["train"]["hyperparameters"]["epochs"] = 33
    (tmp_path / "msi.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(config.load_task, "__defaults__", (tmp_path, "train"))
    changed = here("upsert", *EXAMPLE, "--diff")
    assert (changed.code, changed.out) == (1, "Parameters[Epochs].DefaultValue: 20 → 33\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "brain"), "there is no task 'brain'"),
        (("--task", "msi", "--environment", "nowhere"), "nowhere: there is no such environment"),
        (("--task",), "requires an argument"),
        (("--task", "msi", "--what"), "No such option: --what"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2_before_the_sdk_is_imported(arguments, message):
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('sagemaker' in sys.modules))\n"
        "from pipelines.cli import run\nfrom pipelines.upsert import upsert\nrun(upsert)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in done.stderr
