"""The parameters of a task's pipeline, as its settings and sections declare them. Imports no SDK."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pathology.contracts.errors import RequestError
from pathology.contracts.settings import NOT_GIVEN, as_string, parameter_of

from pipelines.tasks.sections import InstanceParameters, PipelineYaml, SectionField

SWITCH = ("true", "false")
_DATA, _MACHINES, _REST = range(3)
"""The order of Studio's form: what is read, what it runs on, all else; within each the order of the sections."""
_FIRST, _LAST = ("dataset", "prepare"), ("gate", "register_as")


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter: its type as the service has it, its default from the YAML, its choices, and where it was declared."""

    name: str
    type: Literal["String", "Integer", "Float"]
    default: str | int | float
    choices: tuple[str, ...]
    declared: str


def parameters(task: PipelineYaml) -> list[ParameterSpec]:
    """Every parameter of a task, in the order of Studio's form. One that several settings declare stands where the last does.

    Raises:
        RequestError: when settings that share a parameter have different values.
    """
    between = [name for name in type(task).model_fields if name not in (*_FIRST, *_LAST)]
    sections = [*_FIRST, *between, *_LAST]
    ordered = sorted(_declared(task), key=lambda entry: (entry[0], sections.index(entry[1].declared.partition(".")[0])))
    by_name: dict[str, ParameterSpec] = {}
    for _, parameter in ordered:
        other = by_name.pop(parameter.name, parameter)
        if other.default != parameter.default:
            raise RequestError(
                f"{other.declared} is {other.default} and {parameter.declared} is {parameter.default}, and both are the parameter "
                f"{parameter.name}: give both the same value"
            )
        by_name[parameter.name] = parameter
    return list(by_name.values())


def keys_of(kind: type[PipelineYaml]) -> dict[str, list[tuple[str, ...]]]:
    """The keys in a task's YAML that each parameter is the value of: several where settings share one."""
    keys: dict[str, list[tuple[str, ...]]] = {}
    for field in kind.fields():
        if name := parameter_of(field.owner, field.path[-1]):
            keys.setdefault(name, []).append(_key(kind, field))
    for section, declared in kind.model_fields.items():
        for mark in (mark for mark in declared.metadata if isinstance(mark, InstanceParameters)):
            title, resources = section.capitalize(), (str(declared.alias or section), "resources")
            keys[f"{title}InstanceType"] = [(*resources, "instance-type")]
            if mark.count:
                keys[f"{title}InstanceCount"] = [(*resources, "instance-count")]
    return keys


def _key(kind: type[PipelineYaml], field: SectionField) -> tuple[str, ...]:
    """Where a field stands in the YAML."""
    section, last = kind.model_fields[field.section], field.owner.model_fields[field.path[-1]]
    return (str(section.alias or field.section), *field.path[1:-1], str(last.alias or field.path[-1]))


def with_values(content: Mapping[str, Any], kind: type[PipelineYaml], values: Mapping[str, str]) -> dict[str, Any]:
    """A task's YAML with other ``values`` of parameters, written as parameters are; those it has not are left out."""
    changed = copy.deepcopy(dict(content))
    uris = {_key(kind, field) for field in kind.fields() if field.uri}
    keys = keys_of(kind)
    for name, value in values.items():
        for key in keys.get(name, []):
            node = changed
            for section in key[:-1]:
                node = node.setdefault(section, {})
            node[key[-1]] = _in_yaml(value) if key in uris else value
    return changed


def _in_yaml(uri: str) -> str | None:
    """A complete URI, safe from what a YAML's has filled in between braces; no URI at all is None there."""
    return None if uri == NOT_GIVEN else uri.replace("{", "{{").replace("}", "}}")


def _declared(task: PipelineYaml) -> Iterator[tuple[int, ParameterSpec]]:
    for field in task.fields():
        name = parameter_of(field.owner, field.path[-1])
        if name is not None:
            group = _DATA if field.uri or field.section in ("dataset", "prepare", "encoder") else _REST
            yield group, _parameter(name, field, field.value(task))
    for section, declared in type(task).model_fields.items():
        marks = [mark for mark in declared.metadata if isinstance(mark, InstanceParameters)]
        for mark in marks:
            resources, title = getattr(task, section).resources, section.capitalize()
            where = f"{section}.resources"
            yield _MACHINES, ParameterSpec(f"{title}InstanceType", "String", resources.instance_type, (), where)
            if mark.count:
                yield _MACHINES, ParameterSpec(f"{title}InstanceCount", "Integer", resources.instance_count, (), where)


def _parameter(name: str, field: SectionField, value: Any) -> ParameterSpec:
    declared = ".".join(field.path)
    kind = _plain(field.field.annotation)
    made = ParameterSpec(name, "String", as_string(value), (), declared)
    if kind is not field.field.annotation:
        return made  # may be none, which is text
    if kind is bool:
        return replace(made, choices=SWITCH)
    if kind is int:
        return replace(made, type="Integer", default=int(value))
    if kind is float:
        return replace(made, type="Float", default=float(value))
    return replace(made, choices=get_args(kind) if get_origin(kind) is Literal else ())


def _plain(annotation: Any) -> Any:
    """A field's type without ``None``."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (choice for choice in get_args(annotation) if choice is not type(None))
    return annotation
