"""A job sees names, not paths: inputs, outputs and hyperparameters by name, for both kinds of job and on a laptop.

Nothing else in the package knows ``/opt/ml``. ``PATHOLOGY_ROOT`` puts another folder in its path.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pathology.contracts.errors import PathologyError, RequestError
from pathology.contracts.settings import Settings, hyperparameters_in
from pathology.contracts.uris import Uri

OPT_ML = "/opt/ml"
ROOT_VARIABLE = "PATHOLOGY_ROOT"
CHECK_FLAG = "--check"
"""Makes a command that can check its data do that alone."""

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Job:
    """One host's view of a running job.

    ``name`` is the job's, ``host`` one of ``hosts``; ``inputs`` and ``outputs`` map names to folders,
    ``input_uris`` and ``output_uris`` those of a Processing job to where they lie in S3.
    """

    kind: Literal["processing", "training"]
    root: Path
    name: str
    host: str
    hosts: tuple[str, ...]
    inputs: dict[str, Path]
    outputs: dict[str, Path]
    values: dict[str, str] = field(default_factory=dict)
    input_uris: dict[str, str] = field(default_factory=dict)
    output_uris: dict[str, str] = field(default_factory=dict)

    @classmethod
    def current(cls) -> Job:
        """Read the container contract of whichever kind of job this is.

        Raises:
            RequestError: when there is none.
        """
        root = Path(os.environ.get(ROOT_VARIABLE, OPT_ML))
        if (root / "config" / "processingjobconfig.json").is_file():
            return cls._processing(root)
        if (root / "input" / "config" / "inputdataconfig.json").is_file():
            return cls._training(root)
        raise RequestError(f"{root} holds no job: run this through a pipeline, or set {ROOT_VARIABLE}")

    @classmethod
    def _processing(cls, root: Path) -> Job:
        config = _json(root / "config" / "processingjobconfig.json")
        resources = _json(root / "config" / "resourceconfig.json")
        inputs = {item["InputName"]: _inside(root, item["S3Input"]["LocalPath"]) for item in config.get("ProcessingInputs") or []}
        outputs = {
            item["OutputName"]: _inside(root, item["S3Output"]["LocalPath"])
            for item in (config.get("ProcessingOutputConfig") or {}).get("Outputs") or []
        }
        input_uris = {item["InputName"]: item["S3Input"]["S3Uri"] for item in config.get("ProcessingInputs") or []}
        output_uris = {
            item["OutputName"]: item["S3Output"]["S3Uri"]
            for item in (config.get("ProcessingOutputConfig") or {}).get("Outputs") or []
        }
        values = hyperparameters_in(config.get("Environment") or {})
        name = config.get("ProcessingJobName") or os.environ.get("PROCESSING_JOB_NAME", "processing-job")
        hosts = tuple(resources.get("hosts") or ["algo-1"])
        host = resources.get("current_host", hosts[0])
        return cls("processing", root, name, host, hosts, inputs, outputs, values, input_uris, output_uris)

    @classmethod
    def _training(cls, root: Path) -> Job:
        config = root / "input" / "config"
        resources = _json(config / "resourceconfig.json")
        inputs = {name: root / "input" / "data" / name for name in _json(config / "inputdataconfig.json")}
        outputs = {"model": root / "model", "data": root / "output" / "data"}
        values = _json(config / "hyperparameters.json") if (config / "hyperparameters.json").is_file() else {}
        values = {name: value for name, value in values.items() if not name.startswith("sagemaker_")}
        hosts = tuple(resources.get("hosts") or ["algo-1"])
        name = os.environ.get("TRAINING_JOB_NAME", "training-job")
        return cls("training", root, name, resources.get("current_host", hosts[0]), hosts, inputs, outputs, values)

    @property
    def rank(self) -> int:
        """This host's number among the hosts, from 0."""
        return self.hosts.index(self.host)

    @property
    def world_size(self) -> int:
        """How many hosts the job has."""
        return len(self.hosts)

    @property
    def checkpoints(self) -> Path:
        """Where a training job keeps what a restart needs; S3 when the step asks for checkpoints."""
        return self.root / "checkpoints"

    @property
    def scratch(self) -> Path:
        """A folder on the job's own volume for what is fetched and thrown away."""
        folder = self.root / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def has_input(self, name: str) -> bool:
        """Whether the request names this input."""
        return name in self.inputs

    def input(self, name: str) -> Path:
        """The folder of an input or channel.

        Raises:
            RequestError: when the request does not name it.
        """
        if name not in self.inputs:
            raise RequestError(f"job {self.name} has no input {name!r}, only {', '.join(sorted(self.inputs)) or 'none'}")
        return self.inputs[name]

    def file(self, name: str, suffix: str = "") -> Path:
        """The one file of an input, by suffix where it holds several kinds.

        Raises:
            RequestError: when there is not exactly one.
        """
        files = [path for path in sorted(self.input(name).rglob(f"*{suffix}")) if path.is_file()]
        if len(files) != 1:
            raise RequestError(f"input {name!r} should hold one {suffix or 'file'} and holds {len(files)}")
        return files[0]

    def output(self, name: str) -> Path:
        """The folder of an output, made if absent.

        Raises:
            RequestError: when the request does not name it.
        """
        if name not in self.outputs:
            raise RequestError(f"job {self.name} has no output {name!r}, only {', '.join(sorted(self.outputs)) or 'none'}")
        self.outputs[name].mkdir(parents=True, exist_ok=True)
        return self.outputs[name]

    def input_uri(self, name: str) -> Uri:
        """Where an input of a Processing job lies in S3.

        Raises:
            RequestError: when the request does not name it.
        """
        if name not in self.input_uris:
            raise RequestError(f"job {self.name} has no input {name!r}, only {', '.join(sorted(self.input_uris)) or 'none'}")
        return Uri.parse(self.input_uris[name])

    def output_uri(self, name: str) -> Uri:
        """Where an output of a Processing job will lie in S3.

        Raises:
            RequestError: when the request does not name it.
        """
        if name not in self.output_uris:
            raise RequestError(f"job {self.name} has no output {name!r}, only {', '.join(sorted(self.output_uris)) or 'none'}")
        return Uri.parse(self.output_uris[name])

    def hyperparameters(self, settings: type[S]) -> S:
        """The job's hyperparameters, checked.

        Raises:
            RequestError: naming the hyperparameter that is unknown, missing or out of range.
        """
        return settings.parse(self.values, f"{settings.__name__} hyperparameters")

    def report_failure(self, message: str) -> None:
        """Leave the message where the service shows it: ``output/failure`` (training) or ``output/message`` (processing)."""
        path = self.root / "output" / ("failure" if self.kind == "training" else "message")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(message[:1024])


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: cannot be read as JSON ({error})") from None


def _inside(root: Path, local_path: str) -> Path:
    return root / Path(local_path).relative_to(OPT_ML)


def _explained(error: Exception) -> str | None:
    """The line for an error that somebody can do something about; None for one that nobody foresaw."""
    if isinstance(error, PathologyError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({error.filename})" if error.filename else ""
        return f"the disk is full{where}: make room and start again; what is finished is kept"
    return None


def _printing(check: Callable[[Job], bytes] | None) -> Callable[[Job], None]:
    def main(job: Job) -> None:
        if check is None:
            raise RequestError(f"this command cannot check its data: run it without {CHECK_FLAG}")
        sys.stdout.write(check(job).decode())

    return main


def run(main: Callable[[Job], None], *, check: Callable[[Job], bytes] | None = None) -> None:
    """Run a command: exit 0, or one line on standard error, in the failure file, and exit 1 or 2.

    What nobody foresaw keeps its trace in the log and leaves one line like the rest. With ``--check`` on the command line what
    ``check`` finds is printed, and nothing is written.
    """
    if CHECK_FLAG in sys.argv[1:]:
        main = _printing(check)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    job = None
    try:
        job = Job.current()
        main(job)
    except Exception as error:  # the edge: every failure becomes one line
        message = _explained(error)
        if message is None:
            traceback.print_exc()
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(f"error: {message}", file=sys.stderr, flush=True)
        if job is not None:
            job.report_failure(message)
        sys.exit(error.exit_code if isinstance(error, PathologyError) else 1)
