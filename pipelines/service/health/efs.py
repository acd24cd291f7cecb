"""EFS: the file system that training reads, its mount targets, and what can be known of its directories."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from pipelines.service.health import network
from pipelines.service.health.lines import Lines, ok, problem, unknown, verdict
from pipelines.service.health.subject import Subject, code_of
from pipelines.service.paging import paginate

NFS = 2049
MOUNTS = Path("/proc/self/mounts")
_SECONDS = 10
"""A file system that does not answer keeps a check waiting for longer than anybody wants."""


def file_system(subject: Subject) -> Lines:
    """It exists, is available and encrypted, and so does any other that a task's URIs name."""
    for name in sorted({subject.environment.file_system, *(mount for mount, _ in subject.mounts)}):
        try:
            (description,) = subject.clients["efs"].describe_file_systems(FileSystemId=name)["FileSystems"]
        except ClientError as error:
            if code_of(error) != "FileSystemNotFound":
                raise
            yield problem("file system", f"there is no file system {name}: deploy the stack, or correct the environment's file")
            continue
        wrong = []
        if description["LifeCycleState"] != "available":
            wrong.append(f"{name} is {description['LifeCycleState']}: wait until it is available")
        if not description.get("Encrypted"):
            wrong.append(f"{name} is not encrypted, which cannot be changed later: make another that is, and copy")
        yield from verdict("file system", wrong, f"{name}, available and encrypted")


def file_system_policy(subject: Subject) -> Lines:
    """Whether a policy asks of mounts what a training job's mount cannot say."""
    name = subject.environment.file_system
    try:
        answer = subject.clients["efs"].describe_file_system_policy(FileSystemId=name)
    except ClientError as error:
        if code_of(error) not in ("PolicyNotFound", "FileSystemNotFound"):
            raise
        return
    for statement in json.loads(answer["Policy"]).get("Statement", []):
        if statement.get("Effect") == "Deny" and "aws:SecureTransport" in json.dumps(statement.get("Condition", {})):
            yield unknown(
                "file-system policy",
                f"{name} refuses mounts without TLS, and a training job's mount has no such setting: if jobs cannot mount, take it away",
            )
            return
    yield ok("file-system policy", "asks for no TLS")


def mount_targets(subject: Subject) -> Lines:
    """Each zone that a job may start in has one, available: EFS's name resolves to the zone's own."""
    efs, vpc_network = subject.clients["efs"], network.describe_network(subject)
    name = subject.environment.file_system
    targets = _targets(efs, name)
    if targets is None:
        return
    wrong = []
    for subnet, item in vpc_network.subnets.items():
        states = [
            target["LifeCycleState"] for target in targets if target.get("AvailabilityZoneId") == item["AvailabilityZoneId"]
        ]
        where = f"zone {item['AvailabilityZone']} of {subnet}"
        if not states:
            wrong.append(f"{name} has no mount target in {where}: make one in that subnet")
        elif "available" not in states:
            wrong.append(f"{name}'s mount target in {where} is {states[0]}: wait until it is available")
    yield from verdict("mount targets", wrong, f"{len(targets)}, available")


def _targets(efs: Any, name: str) -> list[dict[str, Any]] | None:
    """The mount targets; None for a file system that is not there, which has a line already."""
    try:
        return list(paginate(efs.describe_mount_targets, "MountTargets", "NextMarker", FileSystemId=name))
    except ClientError as error:
        if code_of(error) != "FileSystemNotFound":
            raise
        return None


def nfs(subject: Subject) -> Lines:
    """Security groups let jobs mount: port 2049 out of the jobs' groups and into each mount target's."""
    efs, vpc_network = subject.clients["efs"], network.describe_network(subject)
    behind: dict[tuple[str, ...], list[str]] = {}
    for target in _targets(efs, subject.environment.file_system) or []:
        name = target["MountTargetId"]
        groups = efs.describe_mount_target_security_groups(MountTargetId=name)["SecurityGroups"]
        behind.setdefault(tuple(sorted(groups)), []).append(name)
    wrong: list[str] = []
    for groups, names in behind.items():
        answer = subject.clients["ec2"].describe_security_groups(Filters=[{"Name": "group-id", "Values": list(groups)}])
        there = {item["GroupId"]: item for item in answer["SecurityGroups"]}
        wrong += network.closed_between(vpc_network, there, NFS, ", ".join(names))
    if behind:
        yield from verdict("NFS", wrong, f"port {NFS} is open from jobs to every mount target")


def directories(subject: Subject) -> Lines:
    """A mount fails when its directory is not there. From outside nobody can look; where it is mounted here, we do."""
    for name, directory in subject.mounts:
        check = f"{directory} on EFS"
        mounted_at = mount_point(name, MOUNTS.read_text().splitlines() if MOUNTS.is_file() else [])
        if mounted_at is None:
            yield unknown(
                check,
                f"cannot be seen from here: the notebook makes it at its start; there, ls ~/SageMaker/efs{directory} (or run this there)",
            )
            continue
        try:
            there = (
                subprocess.run(["/usr/bin/test", "-d", f"{mounted_at}{directory}"], timeout=_SECONDS, check=False).returncode == 0
            )
        except subprocess.TimeoutExpired:
            yield unknown(check, f"{mounted_at} does not answer within {_SECONDS} s: stop and start the notebook")
            continue
        wrong = [] if there else [f"{name} has no directory {directory}: mkdir {mounted_at}{directory}, or restart the notebook"]
        yield from verdict(check, wrong, f"seen at {mounted_at}")


def mount_point(name: str, mounts: Iterable[str]) -> str | None:
    """Where a file system's root is mounted on this machine, of the lines of /proc/self/mounts."""
    for line in mounts:
        source, path, kind, *_ = line.split()
        if kind.startswith("nfs") and source.startswith(f"{name}.efs.") and source.endswith(":/"):
            return path.replace("\\040", " ")
    return None
