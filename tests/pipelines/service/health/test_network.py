"""Rules of security groups and routes, as EC2 describes them."""

import pytest

from pipelines.service.health.network import Network, closed_between

SUBNETS = {
    "subnet-a": {"CidrBlock": "10.42.16.0/20", "VpcId": "vpc-1"},
    "subnet-b": {"CidrBlock": "10.42.32.0/20", "VpcId": "vpc-1"},
}
ALL_OUT = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def ranges(*blocks, low=443, high=443, protocol="tcp"):
    return {"IpProtocol": protocol, "FromPort": low, "ToPort": high, "IpRanges": [{"CidrIp": block} for block in blocks]}


def pair(group, low=443, high=443, protocol="tcp"):
    return {"IpProtocol": protocol, "FromPort": low, "ToPort": high, "UserIdGroupPairs": [{"GroupId": group}]}


def network(egress=ALL_OUT, routes=()):
    groups = {"sg-jobs": {"IpPermissionsEgress": egress}}
    return Network(SUBNETS, {name: {"Routes": list(routes)} for name in SUBNETS}, groups)


@pytest.mark.parametrize(
    ("ingress", "open_"),
    [
        ([pair("sg-jobs")], True),
        ([pair("sg-jobs", protocol="6", low=0, high=65535)], True),
        ([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-jobs"}]}], True),
        ([ranges("10.42.0.0/16")], True),
        ([ranges("10.42.16.0/20", "10.42.32.0/20")], True),
        ([ranges("10.42.16.0/20")], False),
        ([ranges("fd00::/8")], False),
        ([pair("sg-jobs", protocol="udp")], False),
        ([pair("sg-jobs", low=444, high=500)], False),
        ([pair("sg-others")], False),
        ([], False),
    ],
)
def test_a_way_in_is_by_group_or_by_every_subnets_addresses(ingress, open_):
    wrong = closed_between(network(), {"sg-there": {"IpPermissions": ingress}}, 443, "vpce-1")
    assert wrong == (
        [] if open_ else ["sg-there of vpce-1 let the jobs' security groups not in at port 443: add a rule for them"]
    )


@pytest.mark.parametrize(
    ("egress", "open_"), [(ALL_OUT, True), ([pair("sg-there")], True), ([pair("sg-jobs")], False), ([], False)]
)
def test_a_way_out_too(egress, open_):
    wrong = closed_between(network(egress), {"sg-there": {"IpPermissions": [pair("sg-jobs")]}}, 443, "vpce-1")
    assert wrong == (
        [] if open_ else ["the jobs' security groups let nothing out to port 443 of vpce-1: add a rule for sg-there"]
    )


@pytest.mark.parametrize(
    ("route", "nat", "public"),
    [
        ({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}, True, False),
        ({"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": "tgw-1"}, True, False),
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}, False, True),
        ({"DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-1"}, False, True),
        ({"DestinationCidrBlock": "10.42.0.0/16", "GatewayId": "local"}, False, False),
        ({"DestinationCidrBlock": "192.168.0.0/16", "NatGatewayId": "nat-1"}, False, False),
    ],
)
def test_the_default_route_says_how_a_subnet_gets_out(route, nat, public):
    result = network(routes=[route])
    assert (result.reaches_nat("subnet-a"), result.is_public("subnet-a")) == (nat, public)
