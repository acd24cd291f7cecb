"""Which checks a template gets, and for which values of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.checks import needs, network, notebook, outputs, reach, roles, shape, storage, studio
from infra.checks.template import Finding, Findings, Stack, parse

INFRA = Path(__file__).parents[1]
TEMPLATES = {name: INFRA / f"{name}.yml" for name in ("infra-stack", "studio-stack", "codebuild")}
Check = Callable[[Stack], Findings]

EVERY_STACK: tuple[Check, ...] = (
    *(reach.check_groups, roles.check_trust, roles.check_policies),
    *(storage.check_kept, storage.check_file_systems, storage.check_buckets, storage.check_keys, storage.check_logs),
)
THE_INFRASTRUCTURE: tuple[Check, ...] = (
    *(network.check_vpc, network.check_private_subnets, network.check_public_subnet, network.check_addresses),
    *(network.check_one_network, network.check_mount_targets, network.check_notebook_location),
    *(reach.check_endpoints, reach.check_s3_gateway, reach.check_reach),
    *(storage.check_repositories, roles.check_roles_apart, needs.check_needs, outputs.check_exported),
    *(notebook.check_notebook, notebook.check_lifecycle, outputs.check_outputs, outputs.check_meaning),
)


def variants(template: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Parameters to check a template with: the defaults, and every switch that is off by default turned on."""
    yield {}
    turned_on = {name: "yes" for name, (default, _) in switches(template).items() if default == "no"}
    if turned_on:
        yield turned_on


def switches(template: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Parameters that are yes or no: the default and the other."""
    declared = {
        name: item for name, item in template.get("Parameters", {}).items() if set(item.get("AllowedValues", ())) == {"yes", "no"}
    }
    return {name: (item["Default"], {"yes": "no", "no": "yes"}[item["Default"]]) for name, item in declared.items()}


def check_switches(template: dict[str, Any]) -> Findings:
    """Each switch changes something."""
    now = Stack(template).resources
    for name, (_, other) in switches(template).items():
        if Stack(template, {name: other}).resources == now:
            yield Finding(f"parameter {name}", "changes nothing: use it in a condition, or take it away")


def findings(template: dict[str, Any]) -> list[Finding]:
    """What is wrong with a parsed template, each thing once. One that lacks what checks read is told so first."""
    kinds = {item.get("Type") for item in template["Resources"].values()}
    checks = list(EVERY_STACK)
    if "AWS::SageMaker::Domain" in kinds or "AWS::SageMaker::UserProfile" in kinds:
        checks.append(studio.check_studio)
    elif "AWS::EC2::VPC" in kinds or "AWS::EC2::Subnet" in kinds:
        checks += THE_INFRASTRUCTURE
    result: dict[Finding, None] = dict.fromkeys(check_switches(template))
    for parameters in variants(template):
        stack = Stack(template, parameters)
        result |= dict.fromkeys(Finding(where, f"refers to {name}, which is not there") for where, name in stack.dangling)
        lacking = dict.fromkeys(shape.check_shape(stack))
        result |= lacking
        for check in () if lacking else checks:
            result |= dict.fromkeys(check(stack))
    return list(result)


def findings_of(path: Path) -> list[Finding]:
    """What is wrong with a template's file.

    Raises:
        RequestError: for a file that is not a valid template.
    """
    template = parse(path)
    result = [*outputs.check_text(path), *findings(template)]
    if path.resolve() != TEMPLATES["infra-stack"]:
        result += outputs.check_exports(Stack(template), Stack(parse(TEMPLATES["infra-stack"])))
    return result
