"""Hosts on a virtual clock: a store in memory whose requests take time and whose listings are a little old, and who waits for what."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from typing import Literal

from pathology.contracts.errors import DataError
from pathology.contracts.extraction.slides import SlideToExtract
from pathology.contracts.storage import Entry
from pathology.contracts.uris import Uri
from pathology.wsi.prefetch import lead

DOWNLOAD_PER_SECOND = 200e6
"""Bytes from S3 to one host."""

REQUEST, OLD = 0.03, 0.05
"""Seconds that a request takes, and how old a listing is when it arrives."""


@dataclass
class Bucket:
    """What all hosts' stores have in common: objects, and when each claim was made."""

    objects: dict[str, bytes] = field(default_factory=dict)
    claims: list[tuple[float, Entry]] = field(default_factory=list)
    requests: int = 0
    refused: int = 0


class HostStore:
    """One host's store: each request takes its clock on, and its listings show what others claimed a little earlier."""

    def __init__(self, bucket: Bucket, clock: float) -> None:
        self.bucket, self.clock = bucket, clock

    def _request(self, count: int = 1) -> None:
        self.bucket.requests += count
        self.clock += REQUEST * count

    def read(self, uri: Uri) -> bytes:
        self._request()
        if uri.path not in self.bucket.objects:
            raise DataError(f"{uri}: there is no such object")
        return self.bucket.objects[uri.path]

    def write(self, uri: Uri, content: bytes) -> None:
        self._request()
        self.bucket.objects[uri.path] = content

    def create(self, uri: Uri, content: bytes) -> bool:
        self._request()
        if uri.path in self.bucket.objects:
            self.bucket.refused += 1
            return False
        self.bucket.objects[uri.path] = content
        made = datetime.fromtimestamp(self.clock, UTC)
        self.bucket.claims.append((self.clock, Entry(uri, len(content), "", made)))
        return True

    def list(self, uri: Uri) -> Iterator[Entry]:
        until = self.clock - OLD
        self._request(max(1, -(-len(self.bucket.claims) // 1000)))
        return (entry for made, entry in self.bucket.claims if made <= until)


Ahead = Literal["late", "early", "never"]
"""When a host prefetches its next slide: as the code does, when it begins one, or when it is done with one."""


@dataclass
class Host:
    """A host's clock in seconds and its slides: what it extracts as (slide_id, begin, end), and how long it stalled.

    ``take`` gives its next slide, ``largest`` how many bytes that can have.
    """

    store: HostStore
    take: Callable[[], SlideToExtract | None]
    clock: float = 0.0
    largest: Callable[[], int] = lambda: 0
    ahead: Ahead = "early"
    stall_seconds: float = 0.0
    done: list[tuple[str, float, float]] = field(default_factory=list)
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock

    def step(self, seconds: dict[str, float]) -> bool:
        """Prefetch a slide, await it where the one before has ended and begin it; the clock goes to when the next is prefetched,
        as ``pathology.wsi.prefetch`` does. False when nothing was left."""
        self.store.clock = self.clock
        row = self.take()
        if row is None:
            return False
        begin = max(self._end, self.store.clock + row.bytes / DOWNLOAD_PER_SECOND)
        self.stall_seconds += begin - self._end
        self._end = begin + seconds[row.slide_id]
        self.done.append((row.slide_id, begin, self._end))
        before = {"never": 0.0, "early": math.inf, "late": lead(self.largest() / DOWNLOAD_PER_SECOND)}[self.ahead]
        self.clock = max(begin, self._end - before)
        return True


@dataclass(frozen=True)
class Outcome:
    """What a simulated job did; times in seconds from its first host's start."""

    done: list[tuple[str, float, float]]
    makespan: float
    stall_fraction: float
    requests: int
    refused: int


def run_hosts(hosts: list[Host], bucket: Bucket, seconds: dict[str, float]) -> Outcome:
    """Let the host whose clock is earliest go first, until none finds anything."""
    waiting = [(host.clock, number) for number, host in enumerate(hosts)]
    heapify(waiting)
    while waiting:
        _, number = heappop(waiting)
        if hosts[number].step(seconds):
            heappush(waiting, (hosts[number].clock, number))
    done = [slide for host in hosts for slide in host.done]
    makespan = max((end for _, _, end in done), default=0.0)
    stalled = sum(host.stall_seconds for host in hosts) / (makespan * len(hosts)) if done else 0.0
    return Outcome(done, makespan, stalled, bucket.requests, bucket.refused)
