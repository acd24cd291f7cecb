"""CloudFormation templates: parsing, and resolving them for a set of parameters without an account.

What only an account knows stays a name in angle brackets: ``<Vpc>`` for ``!Ref Vpc``, ``<Key.Arn>`` for ``!GetAtt Key.Arn``,
``<zone 0>`` for the region's first zone, ``<import infra-VpcId>`` for another stack's export.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pathology.contracts.errors import RequestError

PSEUDO = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "pathology",
    "AWS::URLSuffix": "amazonaws.com",
}
_NOTHING = object()
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
_BARE_TAGS = {"Ref": "Ref", "Condition": "Condition"}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, which become the long ones."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {_BARE_TAGS.get(tag, f"Fn::{tag}"): value}


_Loader.add_multi_constructor("!", _short_form)


def parse(path: Path) -> dict[str, Any]:
    """The template as data, every function in its long form.

    Raises:
        RequestError: for a file that is missing, not valid YAML, or not a valid template.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: the template cannot be read ({error}): check the path") from None
    try:
        template = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader with CloudFormation's tags)
    except yaml.YAMLError as error:
        raise RequestError(f"{path}: not valid YAML ({' '.join(str(error).split())}): correct it") from None
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise RequestError(f"{path}: not a valid CloudFormation template, it has no Resources: give another file")
    return template


@dataclass(frozen=True)
class Resource:
    """One resource, resolved; ``keeps`` are its DeletionPolicy and UpdateReplacePolicy."""

    name: str
    type: str
    properties: dict[str, Any]
    keeps: tuple[str | None, str | None]
    needs: tuple[str, ...]

    def __getitem__(self, key: str) -> Any:
        return self.properties.get(key)

    @property
    def ref(self) -> str:
        """What ``!Ref`` of it resolves to."""
        return f"<{self.name}>"


@dataclass
class Stack:
    """A template resolved for some parameters.

    ``values`` says what a reference resolves to in place of its name, such as ``{"Bucket.Arn": "arn:aws:s3:::mine"}``.
    ``dangling`` collects references to resources that are not there.
    """

    template: dict[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    resources: dict[str, Resource] = field(init=False, default_factory=dict)
    outputs: dict[str, Any] = field(init=False, default_factory=dict)
    exports: dict[str, str] = field(init=False, default_factory=dict)
    dangling: list[tuple[str, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        declared = self.template.get("Parameters", {})
        self._given = {name: self.parameters.get(name, item.get("Default", f"<{name}>")) for name, item in declared.items()}
        self._conditions = self.template.get("Conditions", {})
        self._names, self._here = set(self.template["Resources"]), "Conditions"
        present = {name: item for name, item in self.template["Resources"].items() if self._wanted(item)}
        self._names = set(present)
        for name, item in present.items():
            self._here = name
            needs = item.get("DependsOn", [])
            needs = [needs] if isinstance(needs, str) else needs
            self.dangling += [(name, need) for need in needs if need not in self.template["Resources"]]
            keeps = (item.get("DeletionPolicy"), item.get("UpdateReplacePolicy"))
            properties = self.resolve(item.get("Properties", {}))
            self.resources[name] = Resource(name, item["Type"], properties, keeps, tuple(needs))
        for name, item in self.template.get("Outputs", {}).items():
            self._here = f"output {name}"
            if self._wanted(item):
                self.outputs[name] = self.resolve(item.get("Value"))
                if "Export" in item:
                    self.exports[name] = self.resolve(item["Export"].get("Name"))

    def of(self, kind: str) -> list[Resource]:
        """Resources of a type, ``AWS::`` left out."""
        return [resource for resource in self.resources.values() if resource.type == f"AWS::{kind}"]

    def named(self, reference: Any, kind: str) -> Resource | None:
        """The resource that a resolved reference (its ``Ref`` or an attribute) names, if it is of that type."""
        match = re.fullmatch(r"<(\w+)(\.[\w.]+)?>", reference) if isinstance(reference, str) else None
        resource = self.resources.get(match[1]) if match else None
        return resource if resource is not None and resource.type == f"AWS::{kind}" else None

    def _wanted(self, item: Mapping[str, Any]) -> bool:
        return "Condition" not in item or self._holds(item["Condition"])

    def _holds(self, name: str) -> bool:
        return bool(self.resolve(self._conditions[name]))

    def resolve(self, value: Any) -> Any:
        """A value with its functions carried out.

        Raises:
            RequestError: for a function that no template here uses.
        """
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        name = next(iter(value), "")
        if len(value) == 1 and (name in ("Ref", "Condition") or name.startswith("Fn::")):
            return self._call(name.removeprefix("Fn::"), value[name])
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _NOTHING}

    def _call(self, function: str, argument: Any) -> Any:  # noqa: PLR0911, PLR0912 (one case a function)
        match function:
            case "Ref":
                return self._reference(argument)
            case "Condition":
                return self._holds(argument)
            case "GetAtt":
                return self._reference(".".join(argument) if isinstance(argument, list) else argument)
            case "Sub":
                return self._substitute(argument)
            case "Join":
                separator, parts = argument
                return str(separator).join(str(part) for part in self.resolve(parts))
            case "Split":
                separator, text = argument[0], self.resolve(argument[1])
                return str(text).split(separator)
            case "If":
                return self.resolve(argument[1] if self._holds(argument[0]) else argument[2])
            case "Equals":
                return self.resolve(argument[0]) == self.resolve(argument[1])
            case "Not":
                return not self.resolve(argument[0])
            case "And":
                return all(self.resolve(item) for item in argument)
            case "Select":
                return self.resolve(argument[1])[int(argument[0])]
            case "GetAZs":
                return [f"<zone {index}>" for index in range(6)]
            case "Base64":
                return self.resolve(argument)
            case "ImportValue":
                return f"<import {self.resolve(argument)}>"
        raise RequestError(
            f"{self._here}: Fn::{function} is not among the functions that infra.checks knows: teach it, or do without"
        )

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name in self.values:
            return self.values[name]
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._given:
            return self._given[name]
        if name.split(".", maxsplit=1)[0] not in self._names:
            self.dangling.append((self._here, name))
        return f"<{name}>"

    def _substitute(self, argument: Any) -> str:
        text, variables = (argument[0], self.resolve(argument[1])) if isinstance(argument, list) else (argument, {})
        filled = _VARIABLE.sub(lambda match: str(variables.get(match[1], None) or self._reference(match[1])), text)
        return filled.replace("${!", "${")


@dataclass(frozen=True)
class Finding:
    """What is wrong with which part of a template."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


Findings = Iterator[Finding]


def as_list(value: Any) -> list[Any]:
    """What a template may write as one item or as several."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
