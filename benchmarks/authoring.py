"""How long people wait for the verbs and the local runner: ``python -m benchmarks.authoring``.

``ratio_sdk_import``: the whole process of ``upsert --dry-run`` over one that imports the SDK's pipeline module.
``ratio_help_to_import``, ``ratio_listing_to_import``: those of ``executions --help`` and ``executions --json`` over the same.
``ratio_chain_to_subprocesses``: an execution of steps of nothing, one after the other, over its subprocesses alone.
``ratio_parallel_to_subprocesses``: the same with as many steps at once as there are cores.
``seconds_per_step_over_subprocess``: what the runner adds to a step of the chain.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measure import interleaved, print_figures, run_python
from benchmarks.nothing import Nothing
from pipelines.service.session import STATE_VARIABLE

SDK = "import sagemaker.mlops.workflow.pipeline"
_OFFLINE = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "SAGEMAKER_TELEMETRY_OPT_OUT": "true",
    "PATHOLOGY_ENVIRONMENT": "local",
}


def processes(root: Path, repeats: int) -> dict[str, float]:
    """Ratios of whole processes to the bare import of the SDK."""
    env = {**_OFFLINE, STATE_VARIABLE: str(root)}
    python = partial(run_python, environment=env)
    task = ("--task", "msi")
    python("-m", "pipelines.upsert", *task)  # warms the caches of bytecode, and makes what executions lists
    seconds = interleaved(
        {
            "import": partial(python, "-c", SDK),
            "dry_run": partial(python, "-m", "pipelines.upsert", *task, "--dry-run"),
            "help": partial(python, "-m", "pipelines.executions", "--help"),
            "listing": partial(python, "-m", "pipelines.executions", *task, "--json"),
        },
        repeats,
    )
    return {
        "seconds_sdk_import": seconds["import"],
        "ratio_sdk_import": seconds["dry_run"] / seconds["import"],
        "ratio_help_to_import": seconds["help"] / seconds["import"],
        "ratio_listing_to_import": seconds["listing"] / seconds["import"],
    }


def runner(root: Path, steps: int, repeats: int) -> dict[str, float]:
    """What the local runner adds to the processes that it starts."""
    figures: dict[str, float] = {}
    for name, chain in (("chain", True), ("parallel", False)):
        nothing = Nothing(root / name, steps, chain=chain)
        seconds = interleaved({"whole": nothing.execute, "alone": nothing.subprocesses_alone}, repeats)
        figures[f"ratio_{name}_to_subprocesses"] = seconds["whole"] / seconds["alone"]
        if chain:
            figures["seconds_per_step_over_subprocess"] = (seconds["whole"] - seconds["alone"]) / steps
    return figures


def authoring(
    repeats: Annotated[int, typer.Option("--repeats", help="Takes of each, of which the median counts.", min=1)] = 3,
    steps: Annotated[int, typer.Option("--steps", help="Steps of nothing in the execution.", min=2)] = 100,
) -> None:
    """Time the verbs and the local runner against the SDK's import and the bare subprocesses."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        figures = {**processes(root / "verbs", repeats), **runner(root, steps, repeats)}
    print_figures({"cores": os.cpu_count() or 1, "steps": steps, **figures})


if __name__ == "__main__":
    typer.run(authoring)
