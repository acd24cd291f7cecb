"""The Studio stack: in the VPC only, in the private subnets, with the file system attached and reachable."""

from __future__ import annotations

from infra.checks.approval import may_approve
from infra.checks.reach import HTTPS, NFS, rules
from infra.checks.template import Finding, Findings, Resource, Stack, as_list


def _import(name: str) -> str:
    return f"<import <InfraStack>-{name}>"


def check_studio(stack: Stack) -> Findings:
    """Every domain's network, file system and role; there is a domain and somebody in it."""
    for kind in ("Domain", "UserProfile"):
        if not stack.of(f"SageMaker::{kind}"):
            yield Finding("studio", f"there is no {kind}")
    for domain in stack.of("SageMaker::Domain"):
        if domain["AppNetworkAccessType"] != "VpcOnly":
            yield Finding(domain.name, "its apps have internet: AppNetworkAccessType is not VpcOnly")
        if domain["VpcId"] != _import("VpcId") or as_list(domain["SubnetIds"]) != [_import("PrivateSubnetIds")]:
            yield Finding(domain.name, "is not in the private subnets of the platform's stack")
        if domain["KmsKeyId"] != _import("KmsKeyArn"):
            yield Finding(domain.name, "is not encrypted with the stack's key")
        settings = domain["DefaultUserSettings"] or {}
        systems = [item.get("EFSFileSystemConfig", {}) for item in as_list(settings.get("CustomFileSystemConfigs"))]
        if [item.get("FileSystemId") for item in systems] != [_import("EFSFileSystemId")]:
            yield Finding(domain.name, "has not the stack's file system attached")
        if stack.named(settings.get("ExecutionRole"), "IAM::Role") is None:
            yield Finding(domain.name, "its people have no role of the stack")
        yield from _check_groups(stack, domain)
    yield from _check_approval(stack)


def _check_groups(stack: Stack, domain: Resource) -> Findings:
    groups = as_list((domain["DefaultUserSettings"] or {}).get("SecurityGroups"))
    if not groups or any(stack.named(group, "EC2::SecurityGroup") is None for group in groups):
        yield Finding(domain.name, "its people have no security group of the stack")
    endpoints = stack.parameters.get("EndpointSecurityGroupId")
    servers = [("EfsSecurityGroupId", NFS, _import("EfsSecurityGroupId"))]
    servers += [("EndpointSecurityGroupId", HTTPS, endpoints)] if endpoints else []
    for name, port, server in servers:
        allowed = [rule for rule in rules(stack, server, "Ingress") if rule.lets(port, str(groups[0] if groups else ""), [])]
        if not allowed:
            yield Finding(domain.name, f"its people do not reach {name} on port {port}")


def _check_approval(stack: Stack) -> Findings:
    """Nobody in Studio approves a version unless that was asked for, and then by the platform's policy."""
    asked = stack.parameters.get("PeopleApprove") == "yes"
    for role in stack.of("IAM::Role"):
        if may_approve(stack, role.name):
            yield Finding(role.name, "may approve model versions by a statement of its own: ApproverPolicy alone is meant")
        if (_import("ApproverPolicyArn") in as_list(role["ManagedPolicyArns"])) != asked:
            yield Finding(
                role.name, f"{'lacks' if asked else 'has'} ApproverPolicy, and PeopleApprove is {'yes' if asked else 'no'}"
            )
