"""Ctrl-C while something is followed: what was started goes on, and the line says how to go on watching it and how to end it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from pathology.contracts.errors import PathologyError

from pipelines.service.session import Session


class FollowingInterruptedError(PathologyError):
    """Somebody ended a verb by Ctrl-C, and nothing else."""

    exit_code = 130


@contextmanager
def goes_on(session: Session, arn: str, *, stopping: bool = False) -> Iterator[None]:
    """Within this an interrupt ends the verb alone.

    Raises:
        FollowingInterruptedError: with the line for a person, in place of KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        where = "on this machine" if session.environment.local else "on AWS"
        does, end = ("is being stopped", "") if stopping else ("goes on", f", end it with {command(session, 'stop', arn)}")
        raise FollowingInterruptedError(
            f"interrupted; execution {arn.rpartition('/')[2]} {does} {where}: watch it with {command(session, 'watch', arn)}{end}"
        ) from None


def command(session: Session, verb: str, arn: str) -> str:
    """A verb on an execution, as it is typed in the same shell."""
    words = ["python", "-m", f"pipelines.{verb}", arn, *(("--environment", session.given) if session.given else ())]
    return shlex.join(words)
