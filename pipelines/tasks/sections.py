"""What a task's YAML is made of: URIs, jobs with their resources and hyperparameters, a gate, a group to register in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar

from pathology.contracts.comparison.gate import BinaryGateRule
from pathology.contracts.errors import RequestError
from pathology.contracts.settings import Fraction, Settings, setting
from pydantic import BaseModel, Field, model_validator
from pydantic.fields import FieldInfo

from pipelines.tasks.endpoint import Endpoint
from steps.environment import Environment, Registration, Resources, TrainingResources


@dataclass(frozen=True)
class Uri:
    """Marks a URI in which ``{bucket}`` and ``{file_system}`` are filled in; ``data``: a person puts there what a run reads."""

    data: bool = False


Place = Annotated[str, Uri()]
"""Where a pipeline writes, or reads what it has written."""
Data = Annotated[str, Uri(data=True)]
OptionalData = Annotated[str | None, Uri(data=True)]
"""What a person puts there and a run reads: looked for by the doctor."""


@dataclass(frozen=True)
class InstanceParameters:
    """Marks a job whose instance type is a parameter of the pipeline: ``TrainInstanceType``; with ``count`` how many, too."""

    count: bool = False


class Encoder(Settings):
    """The folder in S3 that holds the encoder's manifest and its checkpoint."""

    weights: Data = setting(..., "The folder with encoder.json and the checkpoint.", parameter="EncoderUri")


H = TypeVar("H", bound=Settings)


class _Hyperparameters(Settings, Generic[H]):
    hyperparameters: H

    @model_validator(mode="before")
    @classmethod
    def _none_given(cls, values: Any) -> Any:
        """Left out, every hyperparameter has its default."""
        return {"hyperparameters": {}, **values} if isinstance(values, dict) else values


class Processing(_Hyperparameters[H]):
    """A Processing job with hyperparameters."""

    resources: Resources


class Training(_Hyperparameters[H]):
    """A Training job with hyperparameters."""

    resources: TrainingResources


class Stage(Settings):
    """The job that copies to EFS; None where training reads S3."""

    resources: TrainingResources


class Compare(Settings):
    """The job that holds a model against the approved version; what it asks for is in ``gate``."""

    resources: Resources | None = setting(
        None,
        "evaluate's when left out, as it takes to run the approved version's artefact; that is done only on a test set that the version "
        "has not answered.",
    )


class Describe(Settings):
    """The job that gives a registered version its card; it calls the registry and computes nothing."""

    resources: Resources = setting(Resources(instance_type="ml.t3.medium", max_runtime_minutes=15), "The smallest will do.")


class PatchTraining(Training[H]):
    """Training on patches; ``training`` and ``models`` say where it reads: EFS, or S3, where the data and the encoder lie."""

    training: Place = setting(..., "Where training reads patches: EFS's folder, or where they lie in S3.")
    models: Place = setting(..., "Where training reads the encoder: EFS's folder, or the encoder's in S3.")


class AurocGate(BinaryGateRule):
    """The gate on the AUROC of the test items."""

    min_auroc: Fraction = setting(
        ..., "Least AUROC on the test items, or lower bound of it, that registers a model.", parameter=True
    )


@dataclass(frozen=True)
class SectionField:
    """A field of a section, or of its hyperparameters: ``owner`` is the class that declares it, ``path`` leads to it."""

    path: tuple[str, ...]
    owner: type[BaseModel]
    field: FieldInfo

    @property
    def section(self) -> str:
        """The section's name."""
        return self.path[0]

    @property
    def uri(self) -> Uri | None:
        """Its mark, where it is a URI that is filled in."""
        return next((mark for mark in self.field.metadata if isinstance(mark, Uri)), None)

    def value(self, task: BaseModel) -> Any:
        """What the task's YAML, or a default, says."""
        value: Any = task
        for name in self.path:
            value = getattr(value, name)
        return value


class PipelineYaml(Settings):
    """A pipeline's YAML, whatever the pipeline does. A task's own class adds its sections."""

    pipeline: Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,81}$")]
    description: str

    @property
    def registers_in(self) -> str | None:
        """The model package group that its versions go into; None for a pipeline that registers none."""
        return None

    @classmethod
    def fields(cls) -> Iterator[SectionField]:
        """Every field of every section, hyperparameters last in each."""
        for section, declared in cls.model_fields.items():
            model = declared.annotation
            if not (isinstance(model, type) and issubclass(model, BaseModel)):
                continue
            for name, field in model.model_fields.items():
                inner = field.annotation
                if isinstance(inner, type) and issubclass(inner, Settings) and name == "hyperparameters":
                    for hyperparameter, its_field in inner.model_fields.items():
                        yield SectionField((section, name, hyperparameter), inner, its_field)
                else:
                    yield SectionField((section, name), model, field)

    def resolve_uris(self, env: Environment) -> Self:
        """The task with every URI filled in for ``env``.

        Raises:
            RequestError: naming the key whose URI is not one.
        """
        updates: dict[str, dict[str, str]] = {}
        for field in self.fields():
            value = field.value(self) if field.uri else None
            if value is None:
                continue
            try:
                updates.setdefault(field.section, {})[field.path[-1]] = env.expand_uri(value)
            except RequestError as error:
                raise RequestError(f"{'.'.join(field.path)}: {error}") from None
        return self.model_copy(update={name: getattr(self, name).model_copy(update=uris) for name, uris in updates.items()})

    def data(self) -> Iterator[tuple[str, str]]:
        """What a person put there and a run reads: the section's key, and its URI; nothing for what is left out."""
        for field in self.fields():
            value = field.value(self)
            if field.uri and field.uri.data and value is not None:
                yield ".".join(field.path), value


class Task(PipelineYaml):
    """The YAML of a pipeline that trains on an encoder and registers a version."""

    encoder: Encoder
    stage: Stage | None = None
    describe: Describe = Describe()
    register_as: Annotated[Registration, Field(alias="register")]
    endpoint: Endpoint = Endpoint()

    @model_validator(mode="after")
    def _deployed_on_what_is_registered(self) -> Self:
        chosen, types = self.endpoint.instance_type, self.register_as.instance_types
        if chosen is not None and chosen not in types:
            raise ValueError(
                f"endpoint.instance-type {chosen} is not among register.instance-types, {', '.join(types)}: add it there"
            )
        return self

    @property
    def registers_in(self) -> str | None:
        """Its group."""
        return self.register_as.group

    @property
    def endpoint_instance_type(self) -> str:
        """What an endpoint of its versions runs on."""
        return self.endpoint.instance_type or self.register_as.instance_types[0]
