"""What people write: the environment they run in and what a task does by default, both YAML, both checked key by key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pathology.contracts.errors import RequestError
from pathology.contracts.settings import (
    CollectFeatures,
    EvaluateMsi,
    ExtractFeatures,
    Fraction,
    PrepareMsi,
    Settings,
    Tiling,
    TrainMsi,
)
from pydantic import Field

from steps.environment import Environment, Images, Network, Registration, Resources, RunAs, TrainingResources

REPOSITORY = Path(__file__).resolve().parents[1]
DEFINITIONS = REPOSITORY / "pipeline_definitions"
ENVIRONMENT_VARIABLE = "PATHOLOGY_ENVIRONMENT"
TASKS = ("msi",)

LOCAL = Environment(
    name="local",
    local=True,
    region="us-east-1",
    account="000000000000",
    pipeline_role="arn:aws:iam::000000000000:role/local",
    job_role="arn:aws:iam::000000000000:role/local",
    bucket="local",
    file_system="fs-00000000",
    network=Network(subnets=("subnet-00000000",), security_groups=("sg-00000000",)),
    images=Images(cucim_tiler="cucim-tiler@sha256:" + "0" * 64, training="training@sha256:" + "0" * 64),
)
"""Nothing to configure: buckets and file systems are folders, jobs are processes, no image is ever pulled."""


class Dataset(Settings):
    """Slides (a folder, or the root a GDC manifest was downloaded to) and the table of labels."""

    slides: str
    manifest: str | None = None
    labels: str
    version: Annotated[str, Field(max_length=64)] = "1"


class Encoder(Settings):
    """The folder in S3 that holds encoder.json and the checkpoint."""

    weights: str


class _Job(Settings):
    resources: Resources


class Prepare(_Job):
    """PrepareMsi."""

    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class Extract(Settings):
    """ExtractFeatures; ``run_as: training`` lets it read slides from EFS."""

    run_as: RunAs = "processing"
    resources: TrainingResources
    features: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class Collect(_Job):
    """CollectFeatures."""

    max_failed_fraction: Fraction = 0.1


class Stage(Settings):
    """StageFeatures; None where training reads S3."""

    resources: TrainingResources


class Train(Settings):
    """TrainMsi; ``features`` and ``models`` say where it reads: a folder on EFS, or the same as extraction's in S3."""

    resources: TrainingResources
    features: str
    models: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class Evaluate(_Job):
    """EvaluateMsi."""

    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class Gate(Settings):
    """The least AUROC on the test patients that registers a model."""

    min_auroc: Fraction


class MsiTask(Settings):
    """pipeline_definitions/msi.yaml, its URIs filled in for one environment and its hyperparameters typed."""

    pipeline: Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,81}$")]
    description: str
    dataset: Dataset
    encoder: Encoder
    prepare: Prepare
    extract: Extract
    collect: Collect
    stage: Stage | None = None
    train: Train
    evaluate: Evaluate
    gate: Gate
    register_as: Annotated[Registration, Field(alias="register")]

    def placed(self, env: Environment) -> MsiTask:
        """The task with every URI filled in for ``env``.

        Raises:
            RequestError: naming the key whose URI is none.
        """

        def fill(section: T, *keys: str) -> T:
            filled = {}
            for key in keys:
                value = getattr(section, key)
                if value is not None:
                    try:
                        filled[key] = env.place(value)
                    except RequestError as error:
                        raise RequestError(f"{type(section).__name__.lower()}.{key}: {error}") from None
            return section.model_copy(update=filled)

        return self.model_copy(
            update={
                "dataset": fill(self.dataset, "slides", "manifest", "labels"),
                "encoder": fill(self.encoder, "weights"),
                "extract": fill(self.extract, "features"),
                "train": fill(self.train, "features", "models"),
            }
        )

    @property
    def prepare_settings(self) -> PrepareMsi:
        """PrepareMsi's hyperparameters, checked."""
        own = {"slides": self.dataset.slides, "manifest": self.dataset.manifest}
        return PrepareMsi.parse({**self.prepare.hyperparameters, **own}, "prepare.hyperparameters")

    @property
    def extract_settings(self) -> ExtractFeatures:
        """ExtractFeatures' hyperparameters, checked."""
        return ExtractFeatures.parse(
            {**self.extract.hyperparameters, "features": self.extract.features}, "extract.hyperparameters"
        )

    @property
    def collect_settings(self) -> CollectFeatures:
        """CollectFeatures' hyperparameters: extraction's tiling and its own limit."""
        tiling = {name: getattr(self.extract_settings, name) for name in Tiling.model_fields}
        own = {
            "features": self.extract.features,
            "encoder": self.encoder.weights,
            "max_failed_fraction": self.collect.max_failed_fraction,
        }
        return CollectFeatures.parse({**tiling, **own}, "collect")

    @property
    def train_settings(self) -> TrainMsi:
        """TrainMsi's hyperparameters, checked."""
        return TrainMsi.parse(self.train.hyperparameters, "train.hyperparameters")

    @property
    def evaluate_settings(self) -> EvaluateMsi:
        """EvaluateMsi's hyperparameters, checked."""
        return EvaluateMsi.parse(self.evaluate.hyperparameters, "evaluate.hyperparameters")


T = TypeVar("T", bound=Settings)


def read_yaml(path: Path, what: str, loader: Any = yaml.SafeLoader) -> Any:
    """What a YAML (or JSON) file holds. Raises RequestError, saying ``what`` it should be, when it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 SafeLoader, or BaseLoader, which knows less
    except FileNotFoundError:
        raise RequestError(f"{path}: there is no such {what}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None


def _mapping(path: Path, what: str) -> dict[str, Any]:
    content = read_yaml(path, what)
    if not isinstance(content, dict):
        raise RequestError(f"{path}: should be a YAML mapping of keys")
    return content


def load_environment(given: str | None) -> Environment:
    """The environment from a file or a name in environments/, else ``PATHOLOGY_ENVIRONMENT``, else the built-in local one.

    Raises:
        RequestError: for a file that is not there or a key that is wrong.
    """
    given = given or os.environ.get(ENVIRONMENT_VARIABLE) or LOCAL.name
    if given == LOCAL.name:
        return LOCAL
    named = REPOSITORY / "environments" / f"{given}.yaml"
    path = named if named.is_file() and not Path(given).is_file() else Path(given)
    return Environment.parse(_mapping(path, "environment"), str(given))


def _parse_task(task: str, folder: Path) -> MsiTask:
    if task not in TASKS:
        raise RequestError(f"there is no task {task!r}: choose one of {', '.join(TASKS)}")
    path = folder / f"{task}.yaml"
    return MsiTask.parse(_mapping(path, "task"), path.name)


def pipeline_name(task: str, folder: Path = DEFINITIONS) -> str:
    """The name that a task's pipeline has in the service.

    Raises:
        RequestError: for an unknown task or a YAML that is wrong.
    """
    return _parse_task(task, folder).pipeline


def load_task(task: str, env: Environment, folder: Path = DEFINITIONS) -> MsiTask:
    """A task's YAML, filled in for an environment, every hyperparameter checked.

    Raises:
        RequestError: for an unknown task, key, hyperparameter or value.
    """
    parsed = _parse_task(task, folder)
    try:
        placed = parsed.placed(env)
        for settings in ("prepare_settings", "extract_settings", "collect_settings", "train_settings", "evaluate_settings"):
            getattr(placed, settings)
    except RequestError as error:
        raise RequestError(f"{task}.yaml: {error}") from None
    return placed
