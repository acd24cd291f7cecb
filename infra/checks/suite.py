"""Which checks a template gets, and for which values of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from infra.checks import approval, deployer, needs, network, notebook, notices, outputs, reach, roles, shape, storage, studio
from infra.checks.joining import OWN_VPC, joined, part_of, taken
from infra.checks.template import Finding, Findings, Stack, parse

INFRA = Path(__file__).parents[1]
TEMPLATES = {name: INFRA / f"{name}.yml" for name in ("network-stack", "platform-stack", "studio-stack", "codebuild")}
Check = Callable[[Stack], Findings]

EVERY_STACK: tuple[Check, ...] = (
    *(reach.check_groups, roles.check_trust, roles.check_policies),
    *(storage.check_kept, storage.check_file_systems, storage.check_buckets, storage.check_keys, storage.check_logs),
)
THE_NETWORK: tuple[Check, ...] = (
    *(network.check_vpc, network.check_private_subnets, network.check_public_subnet, network.check_addresses),
    *(reach.check_endpoints, reach.check_s3_gateway, outputs.check_network_outputs),
)
"""Of the network's template, with the platform in it."""
THE_PLATFORM: tuple[Check, ...] = (
    *(network.check_one_network, network.check_mount_targets, network.check_notebook_location, network.check_flow_log),
    *(reach.check_reach, storage.check_repositories, storage.check_deletion, storage.check_ledger),
    *(
        roles.check_roles_apart,
        approval.check_approval,
        deployer.check_deployer,
        needs.check_needs,
        outputs.check_exported,
        notices.check_notices,
    ),
    *(notebook.check_notebook, notebook.check_lifecycle, outputs.check_outputs, outputs.check_meaning),
)
"""Of the platform's template, in whichever network."""


def variants(template: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Parameters to check a template with: the defaults, all switches that are off by default turned on, ids and addresses given."""
    yield {}
    turned_on = {name: "yes" for name, (default, _) in switches(template).items() if default == "no"}
    if turned_on:
        yield turned_on
    given = {
        name: f"<{name}>"
        for name, item in template.get("Parameters", {}).items()
        if item.get("Default") == "" and name.endswith(("Id", "Email"))
    }
    if given:
        yield given


def switches(template: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Parameters that are yes or no: the default and the other."""
    declared = {
        name: item for name, item in template.get("Parameters", {}).items() if set(item.get("AllowedValues", ())) == {"yes", "no"}
    }
    return {name: (item["Default"], {"yes": "no", "no": "yes"}[item["Default"]]) for name, item in declared.items()}


def check_switches(template: dict[str, Any]) -> Findings:
    """Each switch changes something, and leaves nothing that refers to what it takes away."""
    now = Stack(template).resources
    for name, (_, other) in switches(template).items():
        turned = Stack(template, {name: other})
        for where, gone in turned.dangling:
            yield Finding(where, f"refers to {gone}, which is not there when {name} is {other}")
        if turned.resources == now:
            yield Finding(f"parameter {name}", "changes nothing: use it in a condition, or take it away")


def findings(template: dict[str, Any], checks: tuple[Check, ...] | None = None) -> list[Finding]:
    """What is wrong with a parsed template, each thing once. One that lacks what checks read is told so first.

    ``checks`` default to those of its kind: Studio's, those of the network with the platform in it, or those of every stack.
    """
    result: dict[Finding, None] = dict.fromkeys(check_switches(template))
    for parameters in variants(template):
        stack = Stack(template, parameters)
        result |= dict.fromkeys(Finding(where, f"refers to {name}, which is not there") for where, name in stack.dangling)
        lacking = dict.fromkeys(shape.check_shape(stack))
        result |= lacking
        for check in () if lacking else checks or _checks_for(template):
            result |= dict.fromkeys(check(stack))
    return list(result)


def _checks_for(template: dict[str, Any]) -> tuple[Check, ...]:
    kinds = {item.get("Type") for item in template["Resources"].values()}
    if "AWS::SageMaker::Domain" in kinds or "AWS::SageMaker::UserProfile" in kinds:
        return (*EVERY_STACK, studio.check_studio)
    if _is_network(template):
        return (*EVERY_STACK, *THE_NETWORK, *THE_PLATFORM)
    return EVERY_STACK


def _is_network(template: dict[str, Any]) -> bool:
    return any(item.get("Type") in ("AWS::EC2::VPC", "AWS::EC2::Subnet") for item in template["Resources"].values())


def findings_together(network_template: dict[str, Any], platform: dict[str, Any]) -> list[Finding]:
    """What is wrong with the platform in the network that the other template makes, and with what it takes of it."""
    wanted = {name for name, item in platform.get("Parameters", {}).items() if "Default" not in item}
    lacking = sorted(wanted - set(taken(network_template, platform)))
    result = [Finding(f"parameter {name}", "is no output of the network's template, and has no default") for name in lacking]
    return [*result, *findings(joined(network_template, platform))]


def findings_alone(platform: dict[str, Any]) -> list[Finding]:
    """What is wrong with the platform in a VPC of one's own."""
    return findings(joined(OWN_VPC, platform), (*EVERY_STACK, *THE_PLATFORM))


_parsed = cache(parse)


def findings_of(path: Path) -> list[Finding]:
    """What is wrong with a template's file; the network's is looked at with the platform's, and the other way round.

    Raises:
        RequestError: for a file that is not a valid template.
    """
    template = parse(path)
    result = dict.fromkeys(outputs.check_text(path))
    if _is_network(template):
        result |= dict.fromkeys(findings_together(template, parse(TEMPLATES["platform-stack"])))
    elif "VpcId" in template.get("Parameters", {}):
        result |= dict.fromkeys(findings_together(parse(TEMPLATES["network-stack"]), template))
        result |= dict.fromkeys(findings_alone(template))
    else:
        result |= dict.fromkeys(findings(template))
        result |= dict.fromkeys(outputs.check_exports(Stack(template), Stack(parse(TEMPLATES["platform-stack"]))))
    return list(result)


def file_of(finding: Finding, path: Path) -> Path:
    """The file in which a finding is to be looked for: of the network's and the platform's the one that has the part."""
    pair = [TEMPLATES[name] for name in ("network-stack", "platform-stack")]
    having = [one for one in pair if path in pair and part_of(_parsed(one), finding.where)]
    return having[0] if len(having) == 1 else path
