"""Every check, each on its own: what one cannot see hides nothing of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from pipelines.service.errors import explain
from pipelines.service.health import contents, efs, identity, images, network, quotas, storage
from pipelines.service.health.lines import Line, Lines, ok, problem, unknown
from pipelines.service.health.subject import Subject

Check = Callable[[Subject], Lines]
IN_THE_ACCOUNT: tuple[tuple[str, Check], ...] = (
    ("roles", identity.roles),
    ("policies", identity.permissions),
    ("bucket", storage.bucket),
    ("bucket encryption", storage.encryption),
    ("bucket versions", storage.versions),
    ("bucket public access", storage.public_access),
    ("key", storage.key),
    ("images", images.images),
    ("subnets", network.subnets),
    ("security groups", network.security_groups),
    ("names in the VPC", network.names),
    ("endpoints", network.endpoints),
    ("file system", efs.file_system),
    ("file-system policy", efs.file_system_policy),
    ("mount targets", efs.mount_targets),
    ("NFS", efs.nfs),
    ("EFS directories", efs.directories),
    ("quotas", quotas.quotas),
    ("model package groups", contents.groups),
)
OF_TASKS: tuple[tuple[str, Check], ...] = (("encoder", contents.encoders), ("data sets", contents.datasets))
_AT_ONCE = 8


def run_checks(subject: Subject, debug: bool = False) -> list[Line]:
    """All lines, in the order of the checks. With credentials that do not fit, that line alone and what was left out.

    ``debug`` raises what a check did not foresee, where else it is a line.
    """
    if subject.environment.local:
        here = ok("environment", "local: folders and processes on this machine, nothing in AWS to examine")
        return [here, *_each(subject, OF_TASKS, debug)]
    try:
        line = identity.credentials(subject)
    except (ClientError, BotoCoreError) as error:
        line = problem("credentials", explain(error))
    if line.state != "ok":
        return [line, unknown("everything else", "not examined, since the credentials come first")]
    return [line, *_each(subject, (*IN_THE_ACCOUNT, *OF_TASKS), debug)]


def _each(subject: Subject, checks: tuple[tuple[str, Check], ...], debug: bool) -> Iterator[Line]:
    """The checks at the same time, since each waits for AWS; their lines in order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for lines in pool.map(lambda check: _isolated(subject, check[0], check[1], debug), checks):
            yield from lines


def _isolated(subject: Subject, name: str, check: Check, debug: bool) -> list[Line]:
    lines: list[Line] = []
    try:
        lines.extend(check(subject))
    except (ClientError, BotoCoreError) as error:
        lines.append(unknown(name, explain(error)))
    except Exception as error:
        if debug:
            raise
        # An answer of a shape that nobody foresaw is one line too: whoever is looking for a fault should see the rest.
        lines.append(unknown(name, f"run it with --debug, the check itself failed ({type(error).__name__}: {error})"))
    return lines
