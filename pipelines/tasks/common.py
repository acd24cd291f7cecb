"""What every task's YAML has: an encoder, jobs with their resources, a gate, a group to register in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pathology.contracts.errors import RequestError
from pathology.contracts.settings import Fraction, Settings
from pydantic import Field

from steps.environment import Environment, Registration, Resources, TrainingResources

Version = Annotated[str, Field(max_length=64)]
"""The dataset's version: a person changes it when data behind an unchanged URI changed."""


class Encoder(Settings):
    """The folder in S3 that holds encoder.json and the checkpoint."""

    weights: str


class Processing(Settings):
    """A Processing job with hyperparameters."""

    resources: Resources
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class Stage(Settings):
    """The job that copies to EFS; None where training reads S3."""

    resources: TrainingResources


class PatchTraining(Settings):
    """Training on patches; ``training`` and ``models`` say where it reads: EFS, or S3, where the data and the encoder lie."""

    resources: TrainingResources
    training: str
    models: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class AurocGate(Settings):
    """The least AUROC on the test items that registers a model."""

    min_auroc: Fraction


class Task(Settings):
    """pipeline_definitions/<task>.yaml. A task's own class names its sections' URIs and the settings to be checked."""

    uris: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Section → the keys in it that are URIs, None where left out."""
    commands: ClassVar[tuple[str, ...]] = ()
    """Properties that parse one command's hyperparameters each."""

    pipeline: Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,81}$")]
    description: str
    encoder: Encoder
    prepare: Processing
    stage: Stage | None = None
    evaluate: Processing
    register_as: Annotated[Registration, Field(alias="register")]

    def placed(self, env: Environment) -> Self:
        """The task with every URI filled in for ``env``.

        Raises:
            RequestError: naming the key whose URI is none.
        """
        sections = {}
        for section, keys in self.uris.items():
            own = getattr(self, section)
            filled = {}
            for key in keys:
                value = getattr(own, key)
                if value is not None:
                    try:
                        filled[key] = env.place(value)
                    except RequestError as error:
                        raise RequestError(f"{section}.{key}: {error}") from None
            sections[section] = own.model_copy(update=filled)
        return self.model_copy(update=sections)

    def check(self) -> None:
        """Raises RequestError for a hyperparameter that its command does not take."""
        for name in self.commands:
            getattr(self, name)
