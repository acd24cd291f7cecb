"""Security groups and endpoints as a graph: who reaches whom on which port, and that nobody else does."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from infra.checks.network import private_subnets, route_tables
from infra.checks.template import Finding, Findings, Resource, Stack, as_list

NFS, HTTPS = 2049, 443
NEEDED = ("ecr.api", "ecr.dkr", "logs", "sagemaker.api", "sagemaker.runtime", "sts")
"""Interface endpoints that code in a subnet without internet needs, S3's gateway aside."""
LAYERS = "starport-layer-bucket"
"""ECR keeps the layers of images in a bucket of its own account (ECR user guide, "Interface VPC endpoints")."""
_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
_CIDR_KEYS = ("CidrIp", "CidrIpv6")
Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True)
class Rule:
    """One rule of a group; ``peer`` is the other group, a block of addresses, or what else the template says."""

    where: str
    protocol: str
    ports: tuple[int, int]
    peer: Any
    is_block: bool

    def lets(self, port: int, group: str, blocks: list[Any]) -> bool:
        """Whether TCP on the port passes to or from a group whose hosts have addresses in ``blocks``."""
        if self.protocol not in ("-1", "tcp", "6") or not self.ports[0] <= port <= self.ports[1]:
            return False
        if not self.is_block:
            return bool(self.peer == group)
        ours = ipaddress.ip_network(str(self.peer))
        return all(ours.version == block.version and block.subnet_of(ours) for block in blocks)


def rules(stack: Stack, group: str, direction: Direction) -> list[Rule]:
    """The rules of a group, its own and those that stand alone; ``group`` as references resolve to it."""
    entries: list[tuple[str, dict[str, Any]]] = []
    resource = stack.named(group, "EC2::SecurityGroup")
    if resource is not None:
        entries += [(resource.name, rule) for rule in as_list(resource[f"SecurityGroup{direction}"])]
    alone = stack.of(f"EC2::SecurityGroup{direction}")
    entries += [(rule.name, rule.properties) for rule in alone if rule["GroupId"] == group]
    return [_rule(where, rule, direction) for where, rule in entries]


def _rule(where: str, rule: dict[str, Any], direction: Direction) -> Rule:
    protocol = str(rule.get("IpProtocol"))
    ports = (0, 65535) if protocol == "-1" else (int(rule.get("FromPort", 0)), int(rule.get("ToPort", 65535)))
    block = next((rule[key] for key in _CIDR_KEYS if key in rule), None)
    other = rule.get("SourceSecurityGroupId" if direction == "Ingress" else "DestinationSecurityGroupId")
    return Rule(where, protocol, ports, block if block is not None else other, block is not None)


def reaches(stack: Stack, source: str, target: str, port: int) -> bool:
    """Whether hosts of one group, in the private subnets, reach those of another: out of the one and into the other."""
    blocks = [ipaddress.ip_network(subnet["CidrBlock"]) for subnet in private_subnets(stack)]
    out = any(rule.lets(port, target, blocks) for rule in rules(stack, source, "Egress"))
    return out and any(rule.lets(port, source, blocks) for rule in rules(stack, target, "Ingress"))


def check_reach(stack: Stack) -> Findings:
    """Jobs and the notebook reach EFS and every endpoint; the hosts of a job reach each other."""
    clients = {name: str(stack.outputs.get(f"{name}SecurityGroupId")) for name in ("Job", "Notebook")}
    servers = [(target, group, NFS) for target in stack.of("EFS::MountTarget") for group in as_list(target["SecurityGroups"])]
    endpoints = [item for item in stack.of("EC2::VPCEndpoint") if item["VpcEndpointType"] == "Interface"]
    servers += [(item, group, HTTPS) for item in endpoints for group in as_list(item["SecurityGroupIds"])]
    for server in {item.name: item for item, _, _ in servers}.values():
        ways = [(group, port) for item, group, port in servers if item.name == server.name]
        for name, client in clients.items():
            if not any(reaches(stack, client, group, port) for group, port in ways):
                yield Finding(server.name, f"cannot be reached from the group {name}SecurityGroupId on port {ways[0][1]}")
    for port in (1024, 29500, 65535):  # torchrun's rendezvous and NCCL's ports, which are any
        if not reaches(stack, clients["Job"], clients["Job"], port):
            yield Finding("output JobSecurityGroupId", f"hosts of one job do not reach each other on port {port}")
    internet = [ipaddress.ip_network("52.216.0.0/15")]  # some of S3's own addresses
    for name, client in clients.items():
        if not any(rule.lets(HTTPS, "", internet) for rule in rules(stack, client, "Egress")):
            yield Finding(f"output {name}SecurityGroupId", "does not let HTTPS out to S3, whose addresses are public")


def check_groups(stack: Stack) -> Findings:
    """Nothing is let in but by group, on the ports that are meant; nothing is let out to everywhere but HTTPS."""
    efs = {group for target in stack.of("EFS::MountTarget") for group in as_list(target["SecurityGroups"])}
    endpoints = {group for item in stack.of("EC2::VPCEndpoint") for group in as_list(item["SecurityGroupIds"])}
    groups = {resource.ref for resource in stack.of("EC2::SecurityGroup")}
    alone = {item["GroupId"] for kind in ("Ingress", "Egress") for item in stack.of(f"EC2::SecurityGroup{kind}")}
    for group in sorted(groups | efs | endpoints | alone):
        served = NFS if group in efs or "Efs" in group else HTTPS if group in endpoints or "Endpoint" in group else None
        yield from _check_ingress(stack, group, served)
        yield from _check_egress(stack, group)


def _check_ingress(stack: Stack, group: str, served: int | None) -> Iterator[Finding]:
    for rule in rules(stack, group, "Ingress"):
        if rule.is_block or rule.peer is None:
            yield Finding(rule.where, f"lets addresses in ({rule.peer}) where a security group is meant")
        elif rule.peer != group and (rule.ports != (served, served) or rule.protocol != "tcp"):
            yield Finding(
                rule.where, f"lets {rule.peer} in on {rule.protocol} {rule.ports[0]}-{rule.ports[1]}, which nothing needs"
            )


def _check_egress(stack: Stack, group: str) -> Iterator[Finding]:
    egress = rules(stack, group, "Egress")
    if not egress and stack.named(group, "EC2::SecurityGroup"):
        yield Finding(group, "has no egress rule, and CloudFormation then allows all")
    for rule in egress:
        if not rule.is_block and rule.peer != group and (rule.protocol, rule.ports) != ("tcp", (NFS, NFS)):
            yield Finding(
                rule.where, f"lets {rule.protocol} {rule.ports[0]}-{rule.ports[1]} out to {rule.peer}, which nothing needs"
            )
        if not rule.is_block or ipaddress.ip_network(str(rule.peer)).subnet_of(_LOOPBACK):  # type: ignore[arg-type]
            continue
        if rule.protocol != "tcp" or rule.ports != (HTTPS, HTTPS):
            yield Finding(rule.where, f"lets {rule.protocol} {rule.ports[0]}-{rule.ports[1]} out to {rule.peer}")


def check_endpoints(stack: Stack) -> Findings:
    """Every service that private code needs has its endpoint, in every private subnet, under its usual name."""
    by_service = {_service(item): item for item in stack.of("EC2::VPCEndpoint")}
    for service in NEEDED:
        if service not in by_service:
            yield Finding("endpoints", f"there is none for {service}")
    private = {subnet.ref for subnet in private_subnets(stack)}
    for service, item in by_service.items():
        if service == "s3":
            continue
        if item["VpcEndpointType"] != "Interface" or item["PrivateDnsEnabled"] is not True:
            yield Finding(item.name, "is not a valid interface endpoint with private DNS: its service's usual name leads nowhere")
        if set(as_list(item["SubnetIds"])) != private:
            yield Finding(item.name, "is not in all private subnets and in these alone")
        if not as_list(item["SecurityGroupIds"]):
            yield Finding(item.name, "names no security group and so takes the network's default one")
        yield from _check_endpoint_policy(item)


def check_s3_gateway(stack: Stack) -> Findings:
    """S3's gateway is on the route table of every private subnet, and lets nothing out to strange buckets."""
    gateways = [item for item in stack.of("EC2::VPCEndpoint") if _service(item) == "s3"]
    if not gateways:
        yield Finding("endpoints", "there is no gateway for s3")
    for item in gateways:
        if item["VpcEndpointType"] != "Gateway":
            yield Finding(item.name, f"is of type {item['VpcEndpointType']}; jobs go by the route of a Gateway")
        tables = set(as_list(item["RouteTableIds"]))
        for subnet in private_subnets(stack):
            if not any(table.ref in tables for table in route_tables(stack, subnet)):
                yield Finding(item.name, f"is not on the route table of {subnet.name}")
        yield from _check_endpoint_policy(item)


def _service(endpoint: Resource) -> str:
    """``sagemaker.api`` of ``com.amazonaws.us-east-1.sagemaker.api``."""
    return str(endpoint["ServiceName"]).split(".", 3)[-1]


def _check_endpoint_policy(endpoint: Resource) -> Iterator[Finding]:
    allowing = [item for item in as_list((endpoint["PolicyDocument"] or {}).get("Statement")) if item["Effect"] == "Allow"]
    if not allowing:
        yield Finding(endpoint.name, "has no policy: anybody's credentials pass through it")
    whole = [
        item for item in allowing if item["Principal"] == "*" and item["Action"] in ("*", "s3:*") and item["Resource"] == "*"
    ]
    if allowing and not whole:
        yield Finding(endpoint.name, "its policy does not let the account's own calls through")
    if _service(endpoint) == "s3" and not any(_is_for_layers(item) for item in allowing):
        yield Finding(endpoint.name, "its policy keeps ECR's layers away: images cannot be pulled inside of the network")
    wanted = {"aws:PrincipalAccount"} | ({"aws:ResourceAccount"} if _service(endpoint) == "s3" else set())
    for item in allowing:
        if not _is_for_layers(item) and not wanted <= set(item.get("Condition", {}).get("StringEquals", {})):
            yield Finding(endpoint.name, f"lets through more than this account ({', '.join(sorted(wanted))} not asked for)")


def _is_for_layers(item: dict[str, Any]) -> bool:
    return bool(item["Action"] == "s3:GetObject" and LAYERS in str(item["Resource"]) and item["Principal"] == "*")
