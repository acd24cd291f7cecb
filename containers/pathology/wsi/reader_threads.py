"""How many threads read tiles: as many as keep the encoder from waiting, measured while it runs."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

START = 2
"""Threads before anything is measured, and on a host whose encoder needs the cores itself."""

WINDOW_SECONDS, WINDOW_BATCHES = 3.0, 4
"""The number is looked at again after so many seconds and batches at least."""

WAITED, IDLE = 0.05, 0.01
"""Of the encoder's time: where it waits for more than the first there are too few threads, for less than the second perhaps too many."""

BUSY = 0.8
"""Threads go only where those that stay would read for no more than this share of the time: else they would come back at once."""


def ceiling(cores: int, wanted: int = 0) -> int:
    """The most threads of a process that has ``cores``: ``wanted``, or all cores but one where that is 0."""
    return wanted or max(1, cores - 1)


class ReaderThreads:
    """The number of threads that may read at a time, from ``least`` to ``most``, for all slides of a process.

    What the encoder waited and worked is told batch by batch; how busy the threads were is measured here. The number changes what is
    read at the same time and nothing else: order, batches and bytes stay. ``say`` is given a line for each change.
    """

    def __init__(
        self,
        most: int = START,
        *,
        least: int = 1,
        say: Callable[[str], object] = print,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.least, self.most = least, most
        self.number = min(max(START, least), most)
        self.least_used = self.most_used = self.number
        """The fewest and the most that there were."""
        self._say, self._clock = say, clock
        self._condition = threading.Condition()
        self._queue: deque[object] = deque()
        self._reading = 0
        self._busy = self._waited = self._worked = 0.0
        self._batches = 0
        self._short = False

    @contextmanager
    def turn(self, stopped: threading.Event) -> Iterator[bool]:
        """Wait until one thread more may read; whether to read, which is False once it is ``stopped``."""
        ticket = object()
        with self._condition:
            self._queue.append(ticket)  # in turn: what is needed first is read first
            self._condition.wait_for(lambda: stopped.is_set() or (self._reading < self.number and self._queue[0] is ticket))
            self._queue.remove(ticket)
            self._reading += 1
            self._condition.notify_all()
        begun = self._clock()
        try:
            yield not stopped.is_set()
        finally:
            with self._condition:
                self._busy += self._clock() - begun
                self._reading -= 1
                self._condition.notify_all()

    def stop(self, stopped: threading.Event) -> None:
        """Nobody waits any longer for a turn that ``stopped`` ends."""
        with self._condition:
            stopped.set()
            self._condition.notify_all()

    def told(self, waited: float, worked: float) -> None:
        """The encoder waited so many seconds for a batch, and then worked on it for so many."""
        with self._condition:
            self._waited += waited
            self._worked += worked
            self._batches += 1
            seconds = self._waited + self._worked
            if self._batches < WINDOW_BATCHES or seconds < WINDOW_SECONDS:
                return
            share, busy = self._waited / seconds, self._busy / seconds
            self._busy = self._waited = self._worked = 0.0
            self._batches = 0
        self._decide(share, busy, seconds)

    def _decide(self, share: float, busy: float, seconds: float) -> None:
        number = self.number
        if share > WAITED:
            # Tiles came at (1 - share) of the speed at which they would have been taken.
            number = min(self.most, max(number + 1, min(2 * number, math.ceil(number / max(1 - share, 0.01)))))
        elif share < IDLE:
            number = min(number, max(self.least, math.ceil(busy / BUSY)))
        if number != self.number:
            said = f"the encoder waited {share:.0%} of {seconds:.1f} s, and {busy:.1f} threads were busy"
            self._say(f"reading with {number} threads, before with {self.number}: {said} (at most {self.most})")
            self.change(number)
        elif share > WAITED and self.least < self.most and not self._short:
            self._short = True  # said once
            self._say(
                f"reading with all {self.most} threads that there may be, and the encoder waited {share:.0%} of {seconds:.1f} s: "
                "an instance with more cores a GPU would be faster"
            )

    def change(self, number: int) -> None:
        """Let ``number`` threads read from now on."""
        with self._condition:
            self.number = number
            self.least_used, self.most_used = min(self.least_used, number), max(self.most_used, number)
            self._condition.notify_all()

    def summary(self) -> str:
        """``2 to 5 of at most 7 reader threads``."""
        used = f"{self.least_used} to {self.most_used}" if self.least_used < self.most_used else f"{self.most_used}"
        return f"{used} of at most {self.most} reader threads"
