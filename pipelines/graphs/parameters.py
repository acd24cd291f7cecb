"""A task's parameters as the SDK has them, and how they reach the jobs' hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pathology.contracts.settings import Settings, parameter_of

from pipelines.tasks.parameters import ParameterSpec, parameters
from pipelines.tasks.sections import PipelineYaml
from steps.sdk import Parameter, ParameterFloat, ParameterInteger, ParameterString

Hyperparameters = Mapping[str, Any]


class RunParameters:
    """What a person changes per run: ``run["Epochs"]`` is the parameter, its default is the YAML's."""

    def __init__(self, task: PipelineYaml) -> None:
        self._by_name: dict[str, Parameter] = {spec.name: _made(spec) for spec in parameters(task)}

    def __getitem__(self, name: str) -> Parameter:
        if name not in self._by_name:
            raise KeyError(f"no setting declares a parameter {name!r}: there are {', '.join(self._by_name)}")
        return self._by_name[name]

    def all(self) -> list[Parameter]:
        """Every parameter, in the order of Studio's form."""
        return list(self._by_name.values())

    def hyperparameters(self, job: type[Settings], *settings: Settings, **supplied: Any) -> Hyperparameters:
        """What a job that parses ``job`` is given: its fields from ``settings``, as parameters where they are declared as such, or
        ``supplied`` by the graph.

        Raises:
            TypeError: for a field that none of them has, or one supplied that the job does not take.
        """
        if unknown := sorted(set(supplied) - set(job.model_fields)):
            raise TypeError(f"{job.__name__} takes no {', '.join(unknown)}")
        values: dict[str, Any] = {}
        for name, field in job.model_fields.items():
            outer = str(field.alias)
            owner = next((one for one in settings if name in type(one).model_fields), None)
            if name in supplied:
                values[outer] = supplied[name]
            elif owner is not None:
                parameter = parameter_of(type(owner), name)
                values[outer] = self[parameter] if parameter else owner.to_dict()[outer]
            else:
                raise TypeError(f"{job.__name__} needs {name}, which nothing gives")
        return values


def _made(spec: ParameterSpec) -> Parameter:
    if spec.type == "Integer":
        return ParameterInteger(spec.name, spec.default)
    if spec.type == "Float":
        return ParameterFloat(spec.name, spec.default)
    return ParameterString(spec.name, spec.default, enum_values=list(spec.choices) or None)
