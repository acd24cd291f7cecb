"""The benchmark runs and prints what it promises; how fast it was is nobody's business here."""

import json
import subprocess
import sys

import pytest

from benchmarks import authoring


@pytest.mark.slow
def test_it_ends_with_its_figures_as_json(capsys, monkeypatch):
    """With another import than the SDK's, which upsert imports here twice as it is."""
    monkeypatch.setattr(authoring, "SDK", "import json")
    authoring.authoring(repeats=1, steps=2)
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    ratios = ("sdk_import", "help_to_import", "listing_to_import", "chain_to_subprocesses", "parallel_to_subprocesses")
    assert {f"ratio_{name}" for name in ratios} | {"seconds_per_step_over_subprocess"} <= set(figures)
    assert figures["steps"] == 2
    assert all(figures[f"ratio_{name}"] > 0 for name in ratios)


def test_it_is_run_as_a_module_and_imports_the_module_that_builders_import(repository):
    command = [sys.executable, "-m", "benchmarks.authoring", "--help"]
    assert "--repeats" in subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    assert authoring.SDK.removeprefix("import ") in (repository / "steps" / "sdk.py").read_text()


def test_nothing_is_run_whole_and_alone(tmp_path):
    from benchmarks.nothing import Nothing

    nothing = Nothing(tmp_path, 3, chain=True)
    nothing.execute()
    ((execution, record),) = nothing.client.state.executions()
    assert record["PipelineExecutionStatus"] == "Succeeded"
    assert len(execution.steps()) == 3
    nothing.subprocesses_alone()
