"""Waiting until something is so, as long as a loaded machine may take."""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_WAIT_SECONDS = 1800.0
"""Seconds after which a test that waits is taken to hang. What sleeps in order to be killed sleeps longer."""
_PAUSE = 0.02


def until(
    condition: Callable[[], object],
    what: str | Callable[[], str] = "what the test waits for",
    failed: Callable[[], object] = lambda: None,
) -> None:
    """Return when ``condition()`` holds.

    Raises:
        AssertionError: with ``what`` did not come, when it takes too long; with what ``failed()`` says, once it says something.
    """
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while not condition():
        failure = failed()
        assert failure is None, failure
        if time.monotonic() > deadline:
            raise AssertionError(f"after {MAX_WAIT_SECONDS:.0f} s still without {what() if callable(what) else what}")
        time.sleep(_PAUSE)
