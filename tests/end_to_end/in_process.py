"""An account whose jobs run in this process, a second each: all that decides what is recomputed is real, learning is not.

Prepare, extraction (by an encoder of mean colours), collection, staging and describing are the commands; a training packs what it was
given, an evaluation and a comparison answer whatever the definition asks of them.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri
from pathology.job import run

from pipelines.checks.expressions import all_steps, json_gets
from pipelines.config import load_environment, load_task
from pipelines.local import execution_calls, runner
from pipelines.local.client import LocalSageMaker
from pipelines.local.containers import Container
from pipelines.local.jobs import JobError, LocalJob
from pipelines.local.processes import log_of
from steps.shapes import Answer
from tests.pathology.colour_encoder import COLOURS, ColourEncoder
from tests.pipelines import registry

WEIGHTS = b"weights"
MANIFEST = COLOURS.model_copy(update={"sha256": hashlib.sha256(WEIGHTS).hexdigest()})


class Account:
    """A task's pipeline as the example environment defines it for AWS, in a local account; ``values`` are given at every start."""

    def __init__(self, state: Path, task: str, values: dict[str, str]) -> None:
        from pipelines.builder import build

        self.state, self.task, self.values = state, task, values
        environment = load_environment("example")
        self.bucket = environment.bucket
        compiled = build(task, load_task(task, environment), environment)
        self.name, self.definition = compiled.name, compiled.definition
        for uri, archive in compiled.code.items():
            path = Uri.parse(uri).under(state)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive)
        self.client = LocalSageMaker(state)
        self.client.create_pipeline(
            PipelineName=self.name,
            PipelineDefinition=compiled.text,
            RoleArn="arn:aws:iam::111122223333:role/pathology-pipeline",
        )
        self.client.create_model_package_group(ModelPackageGroupName=self.name)
        self.write_encoder()

    def write_encoder(self, remark: str = "") -> None:
        """An encoder of colours and its checkpoint, which nobody opens."""
        manifest = MANIFEST.model_copy(update={"remark": remark or MANIFEST.remark})
        self.path("encoder").mkdir(parents=True, exist_ok=True)
        (self.path("encoder") / "encoder.json").write_bytes(manifest.to_json())
        (self.path("encoder") / manifest.checkpoint).write_bytes(WEIGHTS)

    def uri(self, key: str) -> str:
        """A URI in the account's bucket."""
        return f"s3://{self.bucket}/{key}"

    def path(self, key: str) -> Path:
        """The file or folder behind it."""
        return Uri.parse(self.uri(key)).under(self.state)

    def start(self, **more: str) -> str:
        """Start as boto3 and Studio do, run to the end, and answer the execution's ARN."""
        given = [{"Name": name, "Value": value} for name, value in {**self.values, **more}.items()]

        def run_job(job: LocalJob, container: Container, store: FolderStore) -> Answer:
            return self._job(job, container, store)

        with (
            patch.object(execution_calls, "spawn", _run_here),
            patch.object(LocalJob, "_run", run_job),
        ):
            answer = self.client.start_pipeline_execution(PipelineName=self.name, PipelineParameters=given)
        arn: str = answer["PipelineExecutionArn"]
        described = self.client.describe_pipeline_execution(PipelineExecutionArn=arn)
        assert described["PipelineExecutionStatus"] == "Succeeded", (described, self.steps(arn))
        return arn

    def steps(self, arn: str) -> dict[str, dict]:
        """An execution's steps by name."""
        answer = self.client.list_pipeline_execution_steps(PipelineExecutionArn=arn)
        return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}

    def recomputed(self, **more: str) -> set[str]:
        """Start, and answer which of the cached steps were not answered from the cache."""
        steps = self.steps(self.start(**more))
        cached = {step["Name"] for step in all_steps(self.definition) if step.get("CacheConfig", {}).get("Enabled")}
        return {name for name in cached if "CacheHitResult" not in steps[name]}

    def _job(self, job: LocalJob, container: Container, store: FolderStore) -> Answer:
        """In place of :meth:`LocalJob._run`: one host after another."""
        (command,) = container.arguments
        top = self.state / "jobs-here" / container.name
        roots = [top / host for host in container.hosts]
        for root, host in zip(roots, container.hosts, strict=True):
            container.lay_out(root, host)
            log_of(root).write_text("")
        for root in roots:
            if command.startswith("train_"):
                (root / "model" / "weights.bin").write_bytes(WEIGHTS)
            elif command.startswith("evaluate_"):
                self._report(root, "Evaluate", "evaluation")
            elif command.startswith("compare_"):
                self._report(root, "Compare", "comparison")
            else:
                _command(command, root, store, {**job.environment, **container.environment})
        for checkpoints in container.checkpoints:
            checkpoints.close()
        return container.collect(roots)

    def _report(self, root: Path, kind: str, name: str) -> None:
        """``name``.json of a step of the ``kind``: a number wherever the definition compares, else a word; of an evaluation, what a
        version's card is made of too."""
        evaluates = kind == "Evaluate"
        report = registry.evaluation({"cohort": "c" * 64}, {}, "d" * 64, self.uri("model.tar.gz")) if evaluates else {}
        gates = [step["Arguments"]["Conditions"] for step in self.definition["Steps"] if step["Type"] == "Condition"]
        compared = {get["Path"] for get in json_gets(gates)}
        asked = {get["Path"] for get in json_gets(self.definition["Steps"]) if kind in get["PropertyFile"]["Get"]}
        for path in asked:
            *parents, last = path.split(".")
            inner = report
            for part in parents:
                inner = inner.setdefault(part, {})
            inner[last] = 1.0 if path in compared else last
        for interval in report["pathology"]["intervals"].values() if evaluates else ():
            interval.update(dict.fromkeys(("low", "high"), interval["value"]))
        (root / "processing" / "output" / name / f"{name}.json").write_text(json.dumps(report))


def _run_here(root: Path, execution: execution_calls.Execution, lock: int) -> None:
    """In place of a process for the runner."""
    try:
        with redirect_stdout(io.StringIO()):
            runner.main(str(root), execution.identity)
    finally:
        os.close(lock)


def _command(command: str, root: Path, store: FolderStore, environment: dict[str, str]) -> None:
    """A command of the working tree in a job's root, to its end."""
    from pathology.commands.extract_features import Extraction

    main = importlib.import_module(f"pathology.commands.{command}").main
    places = {"PATHOLOGY_ROOT": str(root), "PATHOLOGY_URI_ROOT": str(store.root)}
    said = io.TextIOWrapper(io.BytesIO(), write_through=True)
    try:
        with (
            patch.dict(os.environ, {**environment, **places}),
            patch.object(Extraction, "_load", lambda *_: ColourEncoder()),
            patch("signal.signal"),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            run(main)
    except SystemExit as ended:
        if ended.code:
            raise JobError(f"AlgorithmError: {said.buffer.getvalue().decode()[-800:]}", "AlgorithmError") from None
