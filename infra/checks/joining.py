"""The platform's template in a network: of the network's template, or in a VPC of which nothing is known but what it has to have.

The platform takes its network by parameters of the same names as the outputs of the network's template. So the two become one
template, in which a parameter is what the output names, and every check sees the whole.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from pathology.contracts.errors import RequestError

Template = dict[str, Any]

_ZONE = {"Fn::GetAZs": ""}
OWN_VPC: Template = {
    "Resources": {
        "Vpc": {
            "Type": "AWS::EC2::VPC",
            "Properties": {"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": True, "EnableDnsHostnames": True},
        },
        **{
            f"PrivateSubnet{letter}": {
                "Type": "AWS::EC2::Subnet",
                "Properties": {
                    "VpcId": {"Ref": "Vpc"},
                    "CidrBlock": f"10.0.{number}.0/24",
                    "AvailabilityZone": {"Fn::Select": [number, _ZONE]},
                },
            }
            for number, letter in enumerate("AB")
        },
    },
    "Outputs": {
        "VpcId": {"Value": {"Ref": "Vpc"}},
        "PrivateSubnetAId": {"Value": {"Ref": "PrivateSubnetA"}},
        "PrivateSubnetBId": {"Value": {"Ref": "PrivateSubnetB"}},
    },
}
"""A platform engineer's own network, as far as the platform has to know it: docs/deploy.md says what else it must offer."""


def taken(network: Template, platform: Template) -> list[str]:
    """The platform's parameters that are outputs of the network."""
    return sorted(platform.get("Parameters", {}).keys() & network.get("Outputs", {}).keys())


def joined(network: Template, platform: Template) -> Template:
    """Both templates as one; neither is changed.

    Raises:
        RequestError: where both have a resource or a condition of one name, or an output is more than a reference.
    """
    values = {name: network["Outputs"][name].get("Value") for name in taken(network, platform)}
    placed = _with_values({key: platform.get(key, {}) for key in ("Conditions", "Resources", "Outputs")}, values)
    placed["Parameters"] = {name: item for name, item in platform.get("Parameters", {}).items() if name not in values}
    result: Template = {}
    for section in ("Parameters", "Conditions", "Resources", "Outputs"):
        ours = copy.deepcopy(network.get(section, {}))
        both = ours.keys() & placed[section].keys()
        if both and section != "Outputs":  # an output of both is the platform's, which is made of the network's
            raise RequestError(f"{section} of both templates are named {', '.join(sorted(both))}: name them apart")
        result[section] = ours | placed[section]
    return result


def _with_values(value: Any, values: Template) -> Any:
    """A copy in which references to parameters are what ``values`` says."""
    if isinstance(value, list):
        return [_with_values(item, values) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        name, argument = next(iter(value.items()))
        if name == "Ref" and argument in values:
            return copy.deepcopy(values[argument])
        if name == "Fn::Sub":
            text, *variables = argument if isinstance(argument, list) else [argument]
            for parameter in values:
                if f"${{{parameter}}}" in text:
                    text = text.replace(f"${{{parameter}}}", f"${{{_named(parameter, values[parameter])}}}")
            return {name: [text, *_with_values(variables, values)] if variables else text}
    return {key: _with_values(item, values) for key, item in value.items()}


def _named(parameter: str, value: Any) -> str:
    """What a reference is called inside of ``Fn::Sub``."""
    if isinstance(value, dict) and isinstance(value.get("Ref"), str):
        return str(value["Ref"])
    if isinstance(value, dict) and isinstance(value.get("Fn::GetAtt"), list):
        return ".".join(value["Fn::GetAtt"])
    raise RequestError(f"output {parameter} is {value}, which is no reference: give the resource's")


def part_of(template: Template, where: str) -> bool:
    """Whether a finding's place is a part of the template."""
    names = {name for section in ("Parameters", "Resources", "Outputs") for name in template.get(section, {})}
    return bool(names & set(re.findall(r"\w+", where)))
