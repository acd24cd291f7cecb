"""Who is calling: the identity that AWS knows, or this machine's user."""

from __future__ import annotations

import getpass
import os

from pipelines.service.session import Session, client


def caller(session: Session) -> str:
    """The caller's ARN by STS; on this machine the user's name, or ``uid <number>`` of one without a name."""
    if not session.environment.local:
        return str(client(session, "sts").get_caller_identity()["Arn"])
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
