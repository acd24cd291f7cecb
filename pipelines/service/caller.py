"""Who is calling: the identity that AWS knows, or this machine's user."""

from __future__ import annotations

import getpass
import os

from pipelines.service.session import Session


def caller(session: Session) -> str:
    """The caller's ARN by STS; on this machine the user's name, or ``uid <number>`` of one without a name."""
    if not session.environment.local:
        import boto3

        client = boto3.Session(region_name=session.environment.region).client("sts")
        return str(client.get_caller_identity()["Arn"])
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
