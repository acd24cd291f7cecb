"""Faults that a hand may put into a template, each a change of the parsed template and the finding that it has to cause."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra.checks import suite
from infra.checks.template import Finding

Template = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """``where`` is the part of the template that the finding has to name, ``problem`` some of its words."""

    name: str
    plant: Callable[[Template], Any]
    where: str
    problem: str = ""


FAULTS: list[Fault] = []
STRANGER = "4" * 12
"""Another account."""


def fault(where: str, problem: str = "") -> Callable[[Callable[[Template], Any]], Callable[[Template], Any]]:
    """Adds the decorated change under its own name."""

    def add(plant: Callable[[Template], Any]) -> Callable[[Template], Any]:
        FAULTS.append(Fault(plant.__name__, plant, where, problem))
        return plant

    return add


def set_to(name: str, path: str, value: Any, where: str | None = None, problem: str = "") -> None:
    """A fault that gives one property another value; ``path`` is dotted, numbers are places in lists."""

    def plant(template: Template) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        node = template["Resources"][name]["Properties"]
        for step in steps:
            node = node[step]
        node[last] = value

    FAULTS.append(Fault(f"{name}.{path}={value}", plant, where or name, problem))


def without(name: str, path: str, where: str | None = None, problem: str = "") -> None:
    """A fault that takes a property away."""

    def plant(template: Template) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        node = template["Resources"][name]["Properties"]
        for step in steps:
            node = node[step]
        del node[last]

    FAULTS.append(Fault(f"{name}.{path} gone", plant, where or name, problem))


def gone(name: str, where: str, problem: str = "") -> None:
    """A fault that takes a resource away, and what names it in DependsOn."""

    def plant(template: Template) -> None:
        del template["Resources"][name]
        for item in template["Resources"].values():
            if isinstance(item.get("DependsOn"), list):
                item["DependsOn"] = [need for need in item["DependsOn"] if need != name]

    FAULTS.append(Fault(f"{name} gone", plant, where, problem))


def statement(template: Template, owner: str, sid: str) -> dict[str, Any]:
    """A statement by its Sid, of a role's own policies or of a managed one."""
    properties = template["Resources"][owner]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [properties[key] for key in ("PolicyDocument", "KeyPolicy") if key in properties]
    return next(item for document in documents for item in document["Statement"] if item.get("Sid") == sid)


def staged_findings(template: Template) -> Iterator[list[Finding]]:
    """Findings with the defaults of the parameters alone, then all, which hold the former and take three times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite, "variants", lambda _: [{}])
        patch.setattr(suite, "check_switches", lambda _: [])
        with_defaults = suite.findings(template)
    yield with_defaults
    yield suite.findings(template)


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def attribute(name: str, key: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, key]}
