"""A local account with a tiny encoder in it, and a task's verbs run in it as a person runs them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pathology.contracts.uris import Uri
from pathology.models.tiny import make_tiny_encoder

from pipelines.local.client import LocalSageMaker


class Laptop:
    """``values`` are the parameters that every start gives."""

    def __init__(self, state: Path, task: str, values: Mapping[str, str], bucket: str = "local") -> None:
        self.state, self.task, self.bucket, self.values = state, task, bucket, dict(values)
        self.card = make_tiny_encoder(self.path("tiny"))

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def path(self, key: str) -> Path:
        return Uri.parse(self.uri(key)).under(self.state)

    def verb(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"pipelines.{name}", "--task", self.task, *arguments]
        env = {**os.environ, "PATHOLOGY_STATE": str(self.state)}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)

    def start(self, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        given = {**self.values, **more}
        return self.verb("start", *options, *(f"--param={name}={value}" for name, value in given.items()))

    def ready(self) -> "Laptop":
        """With the pipeline upserted, and run once as ``first``."""
        upserted = self.verb("upsert")
        assert upserted.returncode == 0, upserted.stderr
        self.first = self.start()
        assert self.first.returncode == 0, self.first.stdout + self.first.stderr
        return self

    def steps(self) -> dict[str, dict]:
        """The latest execution's steps by name."""
        client = LocalSageMaker(self.state)
        latest = client.list_pipeline_executions(PipelineName=f"pathology-{self.task}")["PipelineExecutionSummaries"][0]
        found = client.list_pipeline_execution_steps(PipelineExecutionArn=latest["PipelineExecutionArn"])
        return {step["StepName"]: step for step in found["PipelineExecutionSteps"]}

    def cached(self) -> set[str]:
        """The steps of the latest execution that the cache answered."""
        return {name for name, step in self.steps().items() if "CacheHitResult" in step}

    def report(self) -> Path:
        """The page that the first run's last line names."""
        line = next(line for line in self.first.stdout.splitlines() if line.startswith("report: "))
        return Path(line.removeprefix("report: "))
