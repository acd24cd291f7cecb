"""Subnets, their way out, and the endpoints that stand in place of the internet."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.service.health.lines import Lines, ok, problem, verdict
from pipelines.service.health.subject import Subject
from pipelines.service.paging import paginate

ENDPOINTS = ("s3", "sagemaker.api", "sagemaker.runtime", "sts", "logs")
"""What code in a job or the notebook calls; images and their layers are pulled by the platform."""
EVERYWHERE = frozenset({"0.0.0.0/0", "::/0"})
HTTPS = 443


@dataclass(frozen=True)
class Network:
    """The environment's network as it is: subnets, the routes of each, and its security groups, by id."""

    subnets: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Mapping[str, Any]]

    @property
    def vpcs(self) -> set[str]:
        """The VPCs of the subnets; one, if all is well."""
        return {subnet["VpcId"] for subnet in self.subnets.values()}

    @property
    def addresses(self) -> list[str]:
        """The subnets' ranges."""
        return [subnet["CidrBlock"] for subnet in self.subnets.values()]

    def reaches_nat(self, subnet: str) -> bool:
        """Whether the subnet has the internet through a NAT, so that it can do without endpoints."""
        return any(route.get("NatGatewayId") or route.get("TransitGatewayId") for route in self._defaults(subnet))

    def is_public(self, subnet: str) -> bool:
        """Whether the subnet's default route is an internet gateway."""
        return any(str(route.get("GatewayId", "")).startswith("igw-") for route in self._defaults(subnet))

    def _defaults(self, subnet: str) -> list[Mapping[str, Any]]:
        routes = self.tables.get(subnet, {}).get("Routes", [])
        return [r for r in routes if {r.get("DestinationCidrBlock"), r.get("DestinationIpv6CidrBlock")} & EVERYWHERE]


def describe_network(subject: Subject) -> Network:
    """The network as EC2 describes it. What does not exist is absent."""
    ec2, env = subject.clients["ec2"], subject.environment
    subnets = {item["SubnetId"]: item for item in _filtered(ec2.describe_subnets, "Subnets", "subnet-id", env.network.subnets)}
    vpcs = sorted({item["VpcId"] for item in subnets.values()})
    tables = list(_filtered(ec2.describe_route_tables, "RouteTables", "vpc-id", vpcs)) if vpcs else []
    groups = _filtered(ec2.describe_security_groups, "SecurityGroups", "group-id", env.network.security_groups)
    return Network(
        subnets,
        {name: _table(tables, name, item["VpcId"]) for name, item in subnets.items()},
        {item["GroupId"]: item for item in groups},
    )


def _filtered(call: Any, key: str, name: str, values: Iterable[str]) -> Iterable[dict[str, Any]]:
    return paginate(call, key, Filters=[{"Name": name, "Values": list(values)}])


def _table(tables: list[dict[str, Any]], subnet: str, vpc: str) -> Mapping[str, Any]:
    """The route table of a subnet: its own, else the VPC's main one."""
    main: Mapping[str, Any] = {}
    for table in tables:
        for association in table.get("Associations", []):
            if association.get("SubnetId") == subnet:
                return table
            if association.get("Main") and table["VpcId"] == vpc:
                main = table
    return main


def subnets(subject: Subject) -> Lines:
    """They exist, in one VPC, in two zones, and none has the internet."""
    network, wanted = describe_network(subject), subject.environment.network.subnets
    for name in wanted:
        if name not in network.subnets:
            yield problem("subnets", f"there is no subnet {name}: deploy the stack, or correct the environment's file")
    if not network.subnets:
        return
    zones = {subnet["AvailabilityZone"] for subnet in network.subnets.values()}
    wrong = []
    if len(network.vpcs) > 1:
        wrong.append(f"they are in {len(network.vpcs)} VPCs ({', '.join(sorted(network.vpcs))}): a job takes subnets of one")
    if len(zones) < 2:
        wrong.append(f"all in zone {min(zones)}: name one in a second zone, since capacity and endpoints want two")
    wrong += [
        f"{name} is public, its default route is an internet gateway: name private subnets; jobs have no public address there"
        for name in network.subnets
        if network.is_public(name)
    ]
    if len(network.subnets) == len(wanted) or wrong:
        yield from verdict("subnets", wrong, f"{len(wanted)} private in {', '.join(sorted(zones))}")


def security_groups(subject: Subject) -> Lines:
    """They exist, in the VPC of the subnets."""
    network = describe_network(subject)
    wrong = []
    for name in subject.environment.network.security_groups:
        if name not in network.groups:
            wrong.append(f"there is no security group {name}: deploy the stack, or correct the environment's file")
        elif network.vpcs and network.groups[name]["VpcId"] not in network.vpcs:
            wrong.append(f"{name} is of another VPC than the subnets: correct the environment's file")
    yield from verdict("security groups", wrong, ", ".join(subject.environment.network.security_groups))


def names(subject: Subject) -> Lines:
    """EFS and endpoints are found by private names."""
    for vpc in sorted(describe_network(subject).vpcs):
        off = []
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            answer = subject.clients["ec2"].describe_vpc_attribute(VpcId=vpc, Attribute=attribute)
            if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
                off.append(attribute)
        wrong = [f"{vpc} has {' and '.join(off)} off: turn both on, else EFS and endpoints have no names"] if off else []
        yield from verdict("names in the VPC", wrong, "resolved")


def endpoints(subject: Subject) -> Lines:
    """Where there is no way to the internet, AWS is reached through endpoints."""
    network = describe_network(subject)
    closed = [name for name in network.subnets if not (network.reaches_nat(name) or network.is_public(name))]
    if network.subnets and not closed:
        yield ok("endpoints", "not needed: every subnet has a way to the internet")
        return
    for vpc in sorted(network.vpcs):
        listed = _filtered(subject.clients["ec2"].describe_vpc_endpoints, "VpcEndpoints", "vpc-id", [vpc])
        active = [item for item in listed if not str(item["State"]).lower().startswith("delet")]  # listed for a while yet
        for service in ENDPOINTS:
            matching = [item for item in active if item["ServiceName"].endswith(f".{subject.environment.region}.{service}")]
            yield from verdict(f"endpoint {service}", _wrong_endpoint(subject, network, closed, service, matching), "there")


def _wrong_endpoint(
    subject: Subject, network: Network, closed: list[str], service: str, matching: list[dict[str, Any]]
) -> list[str]:
    if not matching:
        return [f"there is none, and {', '.join(closed)} have no internet: make it, as infra/network-stack.yml does"]
    (endpoint, *_) = sorted(matching, key=lambda item: str(item["State"]).lower() != "available")
    name = endpoint["VpcEndpointId"]
    if str(endpoint["State"]).lower() != "available":
        return [f"{name} is {endpoint['State']}: wait for it, or recreate it"]
    if endpoint["VpcEndpointType"] == "Gateway":
        return _wrong_gateway(network, closed, endpoint)
    if not endpoint.get("PrivateDnsEnabled", False):
        return [f"{name} has no private DNS: turn it on, else code calls the public address, which has no route"]
    groups = [item["GroupId"] for item in endpoint.get("Groups", [])]
    groups_by_id = {
        item["GroupId"]: item
        for item in _filtered(subject.clients["ec2"].describe_security_groups, "SecurityGroups", "group-id", groups)
    }
    return closed_between(network, groups_by_id, HTTPS, name) if groups else []


def _wrong_gateway(network: Network, closed: list[str], endpoint: Mapping[str, Any]) -> list[str]:
    """A gateway is a route to public addresses: each route table needs it, and security groups have to let them pass."""
    name = endpoint["VpcEndpointId"]
    tables = {network.tables[subnet].get("RouteTableId") for subnet in closed}
    lacking = sorted(str(table) for table in tables - set(endpoint.get("RouteTableIds", [])))
    wrong = [f"{name} is not on {', '.join(lacking)}: put it on the route table of every private subnet"] if lacking else []
    rules = [rule for group in network.groups.values() for rule in group["IpPermissionsEgress"]]
    listed = [rule for rule in rules if rule.get("PrefixListIds")]
    if network.groups and not (listed or _lets(rules, HTTPS, (), EVERYWHERE - {"::/0"})):
        wrong.append(f"the jobs' security groups let nothing out to port {HTTPS} of S3: allow 0.0.0.0/0, or S3's prefix list")
    return wrong


def closed_between(network: Network, there: Mapping[str, Mapping[str, Any]], port: int, what: str) -> list[str]:
    """What keeps jobs from a port of ``what``, whose security groups are ``there``: their way out, or its way in."""
    wrong = []
    if network.groups and not any(
        _lets(g["IpPermissionsEgress"], port, there, network.addresses) for g in network.groups.values()
    ):
        wrong.append(f"the jobs' security groups let nothing out to port {port} of {what}: add a rule for {', '.join(there)}")
    if there and not any(_lets(group["IpPermissions"], port, network.groups, network.addresses) for group in there.values()):
        wrong.append(f"{', '.join(there)} of {what} let the jobs' security groups not in at port {port}: add a rule for them")
    return wrong


def _lets(permissions: Iterable[Mapping[str, Any]], port: int, groups: Iterable[str], addresses: Iterable[str]) -> bool:
    """Whether one rule covers the TCP port for one of the groups, or for all the addresses."""
    for rule in permissions:
        if rule["IpProtocol"] not in ("-1", "tcp", "6"):
            continue
        if rule["IpProtocol"] != "-1" and not rule.get("FromPort", port) <= port <= rule.get("ToPort", port):
            continue
        if {pair.get("GroupId") for pair in rule.get("UserIdGroupPairs", [])} & set(groups):
            return True
        ranges = [ipaddress.ip_network(item["CidrIp"]) for item in rule.get("IpRanges", [])]
        wanted = [ipaddress.ip_network(address) for address in addresses]
        if wanted and all(any(_within(one, whole) for whole in ranges) for one in wanted):
            return True
    return False


def _within(one: Any, whole: Any) -> bool:
    return one.version == whole.version and one.subnet_of(whole)
