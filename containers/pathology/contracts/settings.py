"""Typed hyperparameters of every command: checked when a pipeline is built, parsed again from the job's own contract files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pathology.contracts.errors import RequestError
from pathology.contracts.uris import UriText

NOT_GIVEN = "none"
"""How an optional URI says in a pipeline parameter that there is none: Studio's form cannot hold an empty string."""


HYPERPARAMETER_PREFIX = "SM_HP_"
"""Processing jobs have no hyperparameters: they get them as environment variables, ``max-tiles`` as ``SM_HP_MAX_TILES``."""


def variable_of(hyperparameter: str) -> str:
    """The environment variable that carries a hyperparameter into a Processing job."""
    return HYPERPARAMETER_PREFIX + hyperparameter.replace("-", "_").upper()


def hyperparameters_in(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters among environment variables, by their own names."""
    return {
        name.removeprefix(HYPERPARAMETER_PREFIX).lower().replace("_", "-"): value
        for name, value in variables.items()
        if name.startswith(HYPERPARAMETER_PREFIX)
    }


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def explain(error: ValidationError, where: str) -> str:
    """One line for the first thing wrong in a pydantic error, naming the key: ``msi.yaml: train.epochs: …``."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key: take it out or correct its name"
    elif first["type"] == "missing":
        message = "missing: add it"
    elif "input" in first and not isinstance(first["input"], dict | list):
        message = f"{message}, not {first['input']!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {key + ': ' if key else ''}{message}{more}"


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown key; written ``max-tiles`` outside and ``max_tiles`` inside."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_kebab, populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Check ``values`` (strings are read as the field's type, as hyperparameters arrive).

        Raises:
            RequestError: one line with ``where``, the key and what is wrong with it.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RequestError(explain(error, where)) from None

    def to_dict(self) -> dict[str, Any]:
        """Every field under its outer name, so that a graph can put pipeline parameters in some places."""
        return self.model_dump(mode="json", by_alias=True)

    def as_strings(self) -> dict[str, str]:
        """What a job receives: ``{"max-tiles": "3000", …}``, every value a string, booleans ``true`` and ``false``."""
        return {key: as_string(value) for key, value in self.to_dict().items()}


PARAMETER = "parameter"


def setting(default: Any, meaning: str, *, parameter: bool | str = False, **limits: Any) -> Any:
    """A field, said once: its ``default`` (``...``: none), what it means, its ``limits`` (``ge``, ``le``, …) beside its type.

    ``parameter`` makes it a parameter of the pipeline, under the name given or, for True, the field's in capitals: ``BatchSize``.
    """
    return Field(default, description=meaning, json_schema_extra={PARAMETER: parameter}, **limits)


def parameter_of(settings: type[BaseModel], name: str) -> str | None:
    """The pipeline parameter that a field is, None for a field that is fixed when the pipeline is built."""
    extra = settings.model_fields[name].json_schema_extra
    declared = extra.get(PARAMETER, False) if isinstance(extra, dict) else False
    if declared is True:
        return "".join(part.capitalize() for part in name.split("_"))
    return str(declared) if declared else None


def as_string(value: Any) -> str:
    """One hyperparameter as the service carries it."""
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ",".join(as_string(item) for item in value)
        case None:
            return NOT_GIVEN
        case _:
            return str(value)


def split_names(value: Any) -> Any:
    """A list that came as text with commas; anything else as it is."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _given(value: Any) -> Any:
    return None if value == NOT_GIVEN else value


Names = Annotated[tuple[str, ...], BeforeValidator(split_names), Field(min_length=1)]
OptionalUri = Annotated[UriText | None, BeforeValidator(_given)]
OptionalName = Annotated[str | None, BeforeValidator(_given)]
FINEST_MPP, COARSEST_MPP = 0.08, 20
"""µm/px of slides. Light of 0.55 µm resolves 0.2 µm with the best immersion objective (Abbe 1873, numerical aperture 1.4), which is
sampled at 0.1 µm/px; an air objective of 40×, as scanners have, resolves 0.3. Coarser are placeholders, or magnifications."""

OptionalMpp = Annotated[Annotated[float, Field(ge=FINEST_MPP, le=COARSEST_MPP)] | None, BeforeValidator(_given)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
