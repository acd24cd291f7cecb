"""Subnets, routes and gateways: what is private stays so, and lies in two zones with a mount target each."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Any

from infra.checks.iam import allowed, role_of
from infra.checks.template import Finding, Findings, Resource, Stack, as_list

_TARGETS = (
    *("GatewayId", "NatGatewayId", "EgressOnlyInternetGatewayId", "TransitGatewayId", "VpcPeeringConnectionId"),
    *("NetworkInterfaceId", "InstanceId", "CarrierGatewayId", "LocalGatewayId", "VpcEndpointId", "CoreNetworkArn"),
)

EVERYWHERE = "0.0.0.0/0"


def private_subnets(stack: Stack) -> list[Resource]:
    """The subnets that jobs get: those of the output PrivateSubnetIds, in its order."""
    named = [stack.named(part, "EC2::Subnet") for part in str(stack.outputs.get("PrivateSubnetIds", "")).split(",")]
    return [subnet for subnet in named if subnet is not None]


def route_tables(stack: Stack, subnet: Resource) -> list[Resource]:
    """The route tables that a subnet is associated with; AWS takes one."""
    tables = [
        stack.named(item["RouteTableId"], "EC2::RouteTable")
        for item in stack.of("EC2::SubnetRouteTableAssociation")
        if item["SubnetId"] == subnet.ref
    ]
    return [table for table in tables if table is not None]


def routes(stack: Stack, table: Resource) -> list[tuple[Resource, str]]:
    """The routes of a table, each with what it leads to."""
    return [
        (route, next((str(route[key]) for key in _TARGETS if route[key]), "nowhere"))
        for route in stack.of("EC2::Route")
        if route["RouteTableId"] == table.ref
    ]


def check_vpc(stack: Stack) -> Findings:
    """One network, with names."""
    networks = stack.of("EC2::VPC")
    if len(networks) != 1:
        yield Finding("network", f"{len(networks)} VPCs where one is wanted")
    for vpc in networks:
        for key in ("EnableDnsSupport", "EnableDnsHostnames"):
            if vpc[key] is not True:
                yield Finding(vpc.name, f"{key} is not on: names of EFS and of endpoints do not resolve")


def check_flow_log(stack: Stack) -> Findings:
    """A record of the network's traffic."""
    for vpc in stack.of("EC2::VPC"):
        logs = [log for log in stack.of("EC2::FlowLog") if log["ResourceId"] == vpc.ref and log["ResourceType"] == "VPC"]
        if not logs:
            yield Finding(vpc.name, "no flow log records its traffic")
        for log in logs:
            yield from _check_flow_log(stack, log)


def _check_flow_log(stack: Stack, log: Resource) -> Findings:
    if log["TrafficType"] != "ALL":
        yield Finding(log.name, f"records {log['TrafficType']} traffic and not ALL")
    if stack.named(log["LogGroupName"], "Logs::LogGroup") is None:
        yield Finding(log.name, "writes to no log group of the stack")
    if stack.named(log["DeliverLogsPermissionArn"], "IAM::Role") is None:
        yield Finding(log.name, "has no role of the stack to write with")
    role, group = role_of(stack, log["DeliverLogsPermissionArn"]), stack.named(log["LogGroupName"], "Logs::LogGroup")
    if role is not None and group is not None:
        for call in ("CreateLogStream", "DescribeLogStreams", "PutLogEvents"):
            if not allowed(stack, role.name, f"logs:{call}", f"<{group.name}.Arn>"):
                yield Finding(role.name, f"may not logs:{call} to {group.name}")


def check_one_network(stack: Stack) -> Findings:
    """Whatever has a VpcId has that of the one network; subnets are in a zone that is said."""
    networks = {vpc.ref for vpc in stack.of("EC2::VPC")}
    for kind in ("Subnet", "RouteTable", "SecurityGroup", "VPCEndpoint", "VPCGatewayAttachment"):
        yield from (
            Finding(item.name, "is in no network of the stack")
            for item in stack.of(f"EC2::{kind}")
            if item["VpcId"] not in networks
        )


def check_private_subnets(stack: Stack) -> Findings:
    """Two private subnets in two zones, and no way out of either."""
    subnets = private_subnets(stack)
    if len({subnet.name for subnet in subnets}) < 2:
        yield Finding("output PrivateSubnetIds", f"names {len(subnets)} subnets of the stack; jobs want two")
    if len({str(subnet["AvailabilityZone"]) for subnet in subnets}) < min(2, len(subnets)):
        yield Finding("private subnets", "lie in one zone: hosting and EFS's names want two")
    for subnet in subnets:
        if subnet["MapPublicIpOnLaunch"] not in (None, False):
            yield Finding(subnet.name, "is private and gives public addresses")
        tables = route_tables(stack, subnet)
        if len(tables) != 1:
            yield Finding(subnet.name, f"is associated with {len(tables)} route tables of the stack: give it one of its own")
        for table in tables:
            for route, target in routes(stack, table):
                yield Finding(
                    route.name, f"leads from the private subnet {subnet.name} to {target}: what is private has no routes"
                )


def check_public_subnet(stack: Stack) -> Findings:
    """The one subnet with internet is another than the private ones, and has it."""
    subnet = stack.named(stack.outputs.get("PublicSubnetId"), "EC2::Subnet")
    if subnet is None:
        yield Finding("output PublicSubnetId", "names no subnet of the stack")
        return
    if subnet.name in {private.name for private in private_subnets(stack)}:
        yield Finding(subnet.name, "is the public subnet and a private one")
    if subnet["MapPublicIpOnLaunch"] not in (None, False):
        yield Finding(subnet.name, "gives everything that starts in it a public address")
    attachments = {item.name for item in stack.of("EC2::VPCGatewayAttachment") if item["VpcId"] == subnet["VpcId"]}
    attached = {stack.resources[name]["InternetGatewayId"] for name in attachments}
    route_targets = [way for table in route_tables(stack, subnet) for way in routes(stack, table)]
    if not any(target in attached and route["DestinationCidrBlock"] == EVERYWHERE for route, target in route_targets):
        yield Finding(subnet.name, "has no route to an internet gateway of its network")
    for route, target in route_targets:
        if target in attached and not attachments & set(route.needs):
            yield Finding(route.name, "may be made before its gateway is attached: add DependsOn")


def check_addresses(stack: Stack) -> Findings:
    """Subnets lie inside their network and apart from each other."""
    taken: list[tuple[Resource, Any]] = []
    for subnet in stack.of("EC2::Subnet"):
        vpc = stack.named(subnet["VpcId"], "EC2::VPC")
        if vpc is None:
            yield Finding(subnet.name, "lies in no network of the stack")
            continue
        inside, block = ipaddress.ip_network(vpc["CidrBlock"]), ipaddress.ip_network(subnet["CidrBlock"])
        if not block.subnet_of(inside):  # type: ignore[arg-type]
            yield Finding(subnet.name, f"{block} is not inside the network's {inside}")
        yield from (Finding(subnet.name, f"overlaps {other.name}") for other, block2 in taken if block.overlaps(block2))
        taken.append((subnet, block))


def check_mount_targets(stack: Stack) -> Findings:
    """A mount target of the output's file system in each private subnet, and nowhere else."""
    file_system = stack.named(stack.outputs.get("EFSFileSystemId"), "EFS::FileSystem")
    if file_system is None:
        yield Finding("output EFSFileSystemId", "names no file system of the stack")
        return
    targets = [target for target in stack.of("EFS::MountTarget") if target["FileSystemId"] == file_system.ref]
    counts = Counter(target["SubnetId"] for target in targets)
    private = private_subnets(stack)
    for subnet in private:
        if counts[subnet.ref] != 1:
            yield Finding(subnet.name, f"has {counts[subnet.ref]} mount targets of {file_system.name} where one is wanted")
    for target in targets:
        if target["SubnetId"] not in {subnet.ref for subnet in private}:
            yield Finding(target.name, "is in no private subnet")
        if not as_list(target["SecurityGroups"]):
            yield Finding(target.name, "names no security group and so takes the network's default one")
    for target in stack.of("EFS::MountTarget"):
        if target not in targets:
            yield Finding(target.name, "is for another file system than the output's")


def check_notebook_location(stack: Stack) -> Findings:
    """The notebook sits in a private subnet and waits for every mount target."""
    private = {subnet.ref for subnet in private_subnets(stack)}
    targets = {target.name for target in stack.of("EFS::MountTarget")}
    for notebook in stack.of("SageMaker::NotebookInstance"):
        if notebook["SubnetId"] not in private:
            yield Finding(notebook.name, "is in no private subnet")
        if not targets <= set(notebook.needs):
            yield Finding(notebook.name, f"may start before {', '.join(sorted(targets - set(notebook.needs)))}: add DependsOn")
        if as_list(notebook["SecurityGroupIds"]) != [stack.outputs.get("NotebookSecurityGroupId")]:
            yield Finding(notebook.name, "has other security groups than the output NotebookSecurityGroupId")
