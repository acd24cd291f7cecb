"""Polling what runs for hours: the interval, and retries of calls that AWS does not answer meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from pipelines.service.errors import is_passing
from pipelines.service.session import Session

_LOCAL_SECONDS, _AWS_SECONDS = 0.3, 15.0
_MAX_SILENCE = 1800.0
"""Seconds without an answer after which waiting ends; botocore's own tries come on top."""
T = TypeVar("T")


def poll_interval(session: Session) -> float:
    """Seconds between polls of an execution."""
    return _LOCAL_SECONDS if session.environment.local else _AWS_SECONDS


def call_with_retries(call: Callable[[], T], pause: float) -> T:
    """``call()``, again and again while the answer is throttling, a fault of the service or no connection at all.

    An execution runs for hours: minutes without a network are no reason to stop watching it. Raises the last error after
    half an hour of this, and any other error at once.
    """
    until, reported = time.monotonic() + _MAX_SILENCE, False
    while True:
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            if not is_passing(error) or time.monotonic() > until:
                raise
            if not reported:
                print(f"no answer from AWS ({error}); still trying, and the execution goes on", file=sys.stderr)
                reported = True
            time.sleep(pause)
