"""A local account with a tiny encoder in it, and a task's verbs run in it as a person runs them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.uris import Uri

from pipelines.local.client import LocalSageMaker
from tests.tiny_encoder import copy_tiny_encoder
from tests.waiting import MAX_WAIT_SECONDS

RUNS = ("containers", "pipelines", "steps", "pipeline_definitions")
"""What a run is made of and no import shows: jobs are started by their commands' names."""


FIRST, STATE = "first.txt", "<state>"
"""Beside the state: what the first start printed, and how the state's path is written there."""


class Laptop:
    """``values`` are the parameters that every start gives."""

    def __init__(self, state: Path, task: str, values: Mapping[str, str], bucket: str = "local") -> None:
        self.state, self.task, self.bucket, self.values = state, task, bucket, dict(values)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def path(self, key: str) -> Path:
        return Uri.parse(self.uri(key)).under(self.state)

    def verb(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"pipelines.{name}", "--task", self.task, *arguments]
        env = {**os.environ, "PATHOLOGY_STATE": str(self.state)}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=MAX_WAIT_SECONDS)

    def start(self, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        given = {**self.values, **more}
        return self.verb("start", *options, *(f"--param={name}={value}" for name, value in given.items()))

    def run_first(self) -> None:
        """Upsert the pipeline and run it once on the data that are there, with the tiny encoder."""
        copy_tiny_encoder(self.path("tiny"))
        upserted = self.verb("upsert")
        assert upserted.returncode == 0, upserted.stderr
        done = self.start()
        assert done.returncode == 0, done.stdout + done.stderr
        (self.state.parent / FIRST).write_text(done.stdout.replace(str(self.state), STATE))

    def take_over(self, made: Path) -> Laptop:
        """Go on from a copy of an account that has run once, made by :func:`made_once` in ``made / "state"``."""
        shutil.copytree(made / "state", self.state, symlinks=True)
        self.first = (made / FIRST).read_text().replace(STATE, str(self.state))
        return self

    @property
    def encoder(self) -> EncoderManifest:
        """The manifest of the encoder that runs use."""
        return EncoderManifest.from_json((self.path("tiny") / "encoder.json").read_bytes(), "encoder.json")

    def steps(self) -> dict[str, dict]:
        """The latest execution's steps by name."""
        client = LocalSageMaker(self.state)
        latest = client.list_pipeline_executions(PipelineName=f"pathology-{self.task}")["PipelineExecutionSummaries"][0]
        answer = client.list_pipeline_execution_steps(PipelineExecutionArn=latest["PipelineExecutionArn"])
        return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}

    def cached(self) -> set[str]:
        """The steps of the latest execution that the cache answered."""
        return {name for name, step in self.steps().items() if "CacheHitResult" in step}

    def drift_baseline(self) -> dict[str, str]:
        """What the first run's version has to say of the statistics beside its evaluation."""
        path = self.report().with_name("drift-baseline.json")
        uri = self.uri(path.relative_to(self.path("")).as_posix())
        return {"drift_baseline": uri, "drift_baseline_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    def report(self) -> Path:
        """The page that the first run's last line names."""
        line = next(line for line in self.first.splitlines() if line.startswith("report: "))
        return Path(line.removeprefix("report: "))
