"""A local account with a pipeline whose steps do nothing: what is left to measure is the runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fcntl import LOCK_SH, flock
from pathlib import Path
from typing import Any

from pathology.contracts.code import Code
from pathology.contracts.uris import Uri

from pipelines.local.client import LocalSageMaker
from pipelines.local.entry_point import ENTRY_POINT

_CODE = "s3://local/code/nothing.tar.gz"
_ROLE = "arn:aws:iam::000000000000:role/local"
_ENTRY = "pathology-run"
PIPELINE = "nothing"


def _step(name: str, after: str | None) -> dict[str, Any]:
    where = {"S3Uri": _CODE, "LocalPath": "/opt/ml/processing/input/code", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    arguments = {
        "AppSpecification": {"ImageUri": "x@sha256:0", "ContainerEntrypoint": [_ENTRY], "ContainerArguments": ["nothing"]},
        "ProcessingInputs": [{"InputName": "code", "S3Input": where}],
        "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
        "RoleArn": _ROLE,
    }
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **({"DependsOn": [after]} if after else {})}


class Nothing:
    """``steps`` steps of nothing, one after the other (``chain``) or as many at once as the machine has cores."""

    def __init__(self, root: Path, steps: int, *, chain: bool) -> None:
        self.client = LocalSageMaker(root)
        modules = ("pathology/__init__.py", "pathology/commands/__init__.py", "pathology/commands/nothing.py")
        self.client.state.store.write(Uri.parse(_CODE), Code(dict.fromkeys(modules, b"")).archive())
        names = [f"Step{number}" for number in range(steps)]
        made = [_step(name, names[number - 1] if chain and number else None) for number, name in enumerate(names)]
        definition = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": made})
        self.client.create_pipeline(PipelineName=PIPELINE, PipelineDefinition=definition, RoleArn=_ROLE)
        self.abreast = 1 if chain else (os.cpu_count() or 1)

    def execute(self) -> None:
        """Run one execution to its end, from the call that starts it.

        Raises:
            RuntimeError: when it does not succeed.
        """
        at_once = {"MaxParallelExecutionSteps": self.abreast}
        arn = self.client.start_pipeline_execution(PipelineName=PIPELINE, ParallelismConfiguration=at_once)[
            "PipelineExecutionArn"
        ]
        execution = self.client.state.execution(arn.rpartition("/")[2])
        with (execution.folder / "runner.lock").open() as lock:
            flock(lock, LOCK_SH)  # the runner holds it as long as it lives: waiting costs nothing
        status = execution.record["PipelineExecutionStatus"]
        if status != "Succeeded":
            raise RuntimeError(f"the execution is {status}: {execution.record.get('FailureReason')}")

    def subprocesses_alone(self) -> None:
        """The same processes in the folders that the last execution left, as many at once, and nothing else."""
        newest = max(self.client.state.executions(), key=lambda pair: pair[1]["CreationTime"])[0]
        folders = sorted(newest.folder.glob("jobs/*/algo-1"))

        def one(folder: Path) -> None:
            command = [sys.executable, "-I", "-S", str(ENTRY_POINT), "nothing"]
            environment = {**os.environ, "PATHOLOGY_ROOT": str(folder), "PYTHONUNBUFFERED": "1"}
            subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)

        with ThreadPoolExecutor(self.abreast) as pool:
            list(pool.map(one, folders))
