"""The tables of docs/settings.md: every key of a pipeline's YAML, from the classes that check it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pathology.contracts.settings import as_string, parameter_of
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.config import DEFINITIONS, read_yaml
from pipelines.tasks import NAMES, TRAIN, task_spec
from pipelines.tasks.parameters import parameters
from pipelines.tasks.sections import PipelineYaml, SectionField, Uri

INNER = "hyperparameters"
WORDS = {int: "integer", float: "number", str: "text"}


def settings() -> str:
    """A heading for each pipeline of each task, and its sections below."""
    return "\n".join(_pipeline(task, kind) for task in NAMES for kind in task_spec(task).pipelines)


def _pipeline(task: str, kind: str) -> str:
    spec = task_spec(task)
    path = spec.definition(DEFINITIONS, kind).with_suffix(".yaml")
    content = read_yaml(path, "task")
    sections = spec.pipeline(kind).model.parse(content, path.name)
    title = f"## {task}{'' if kind == TRAIN else f', {kind}'}\n\n`pipeline_definitions/{path.name}`\n"
    groups: dict[str, list[SectionField]] = {}
    for field in sections.fields():
        if field.path[-1] != "resources":
            groups.setdefault(_key(type(sections), field)[0], []).append(field)
    order = {section: number for number, section in enumerate(content)}
    ordered = sorted(groups.items(), key=lambda group: (order.get(group[0].partition(".")[0], len(order)), group[0]))
    return "\n".join([title, *(_group(name, fields, sections) for name, fields in ordered), _machines(sections)])


def _group(name: str, fields: Sequence[SectionField], sections: PipelineYaml) -> str:
    """What its class says of ``name``, ``train`` or ``train.hyperparameters``, and a table of the keys below it."""
    lines = [
        f"**`{name}`** {_about(fields[0].owner)}",
        "",
        "| Key | Value | Default | Parameter | Meaning |",
        "|---|---|---|---|---|",
    ]
    for field in fields:
        parameter = parameter_of(field.owner, field.path[-1])
        cells = (
            f"`{_key(type(sections), field)[1]}`",
            value_of(field.field),
            f"`{as_string(field.value(sections))}`",
            f"`{parameter}`" if parameter else "",
            (field.field.description or "").replace("|", "\\|"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _key(model: type[PipelineYaml], field: SectionField) -> tuple[str, str]:
    """What a key stands below in the YAML, and the key."""
    section = model.model_fields[field.section].alias or field.section
    *_, name = field.path
    inner = f".{INNER}" if INNER in field.path else ""
    return section + inner, field.field.alias or name


def _about(owner: type[BaseModel]) -> str:
    """A class's docstring on one line, its fields as the YAML has them."""
    text = " ".join((inspect.getdoc(owner) or "").replace("``", "`").split())
    for name in owner.model_fields:
        text = text.replace(f"`{name}", f"`{name.replace('_', '-')}")
    return text


def _machines(sections: PipelineYaml) -> str:
    """Which instance types and counts are parameters."""
    named = [f"`{one.name}`" for one in parameters(sections) if one.declared.endswith(".resources")]
    return f"Parameters of `resources`: {', '.join(named)}.\n"


def value_of(field: FieldInfo) -> str:
    """What a field takes, as words: ``integer, at least 1, at most 256``."""
    kind, limits, optional = field.annotation, list(field.metadata), False
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (choice for choice in get_args(kind) if choice is not type(None))
        optional = True
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        limits += more
    words = [_kind(kind, limits), *_limits(limits)]
    return ", ".join([*words, "or `none`"] if optional else words)


def _kind(kind: Any, limits: Iterable[Any]) -> str:
    if any(isinstance(limit, Uri) for limit in limits):
        return "URI"
    if kind is bool:
        return "`true`, `false`"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    return "one or more names" if get_origin(kind) is tuple else WORDS[kind]


def _limits(limits: Iterable[Any]) -> Iterator[str]:
    for limit in limits:
        match limit:
            case FieldInfo(metadata=inner):
                yield from _limits(inner)
            case Ge(ge=value):
                yield f"at least {value:,}"
            case Gt(gt=value):
                yield f"over {value:,}"
            case Le(le=value):
                yield f"at most {value:,}"
            case Lt(lt=value):
                yield f"below {value:,}"
            case MaxLen(max_length=value):
                yield f"at most {value} characters"
