"""How well hosts share a cohort: ``python -m benchmarks.sharing`` runs the claiming code of the jobs on a virtual clock.

Slides have the sizes of the GDC manifest of TCGA-COAD (459 slides of 7.6 MB to 2.76 GB), or are drawn from a lognormal with
that range where the manifest is absent, and are repeated. A slide takes its bytes over ``BYTES_PER_SECOND``, times lognormal
noise. Each host claims through ``pathology.wsi.sharing`` on a store in memory whose requests take
time and whose listings are a little old, fetches for a while, extracts, and sends for the next slide when the code would.

Hosts come up one by one. The bound is when all of them would be done if work could be cut at will and nothing were ever waited
for: the extraction's total and the hosts' late starts over the hosts; or the longest slide, where that is more.

``makespan_over_bound_H``: 1,000 slides on H hosts, the mean over the seeds of the noise, ``…_worst_H`` the worst of them;
``makespan_over_bound_H_10000``: 10,000 slides, one seed.
``by_key_over_bound_H``, ``by_size_over_bound_H``: shares fixed before the start, rows[rank::hosts] or longest first by size;
their hosts download ahead from the first slide to the last. ``without_ahead_over_bound_H``: claims, and nothing held ahead;
``early_ahead_over_bound_H``: the next slide sent for as soon as one is begun. Means over the seeds as well.
``waiting_share_H``: of the hosts' time until the end of the cohort, what went by waiting for slides (``without_ahead_…`` too).
``requests_per_slide_H``: to the store, of all hosts, for sharing alone; ``refused_per_slide_H``: creates among them that lost.
``after_kill_lost``, ``after_kill_again``: all hosts killed mid-slide and the job retried under another name: slides never
extracted, finished slides extracted again. ``ten_added_extracted``: extractions when ten slides join 1,000 finished ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import cycle, islice
from statistics import mean
from typing import Annotated, Literal

import numpy as np
import typer
from pathology.contracts.errors import DataError
from pathology.contracts.storage import Entry
from pathology.contracts.tables import CohortRow
from pathology.contracts.uris import Uri
from pathology.wsi.fetching import lead
from pathology.wsi.sharing import Share, largest_first

from benchmarks.measure import REPOSITORY, print_figures

MANIFEST = REPOSITORY.parent / "shared" / "data" / "tcga" / "gdc_manifest_tcga_coad.txt"
SMALLEST, LARGEST, SLIDES = 7_610_002, 2_762_599_587, 459

BYTES_PER_SECOND = 5e6
"""Of a slide's file, extracted: a 618 MB slide of 12,000 tiles in two minutes, H-optimus-0 at 100 tiles/s."""

DOWNLOAD_PER_SECOND = 200e6
"""Bytes from S3 to one host."""

NOISE = 0.4
"""Standard deviation of the logarithm of a slide's time over what its size says: shares fixed by size then end 13 % over the
bound on 16 hosts and 36 % on 64, so badly does size predict time."""

REQUEST, OLD = 0.03, 0.05
"""Seconds that a request takes, and how old a listing is when it arrives."""

START = 30.0
"""Seconds within which the hosts of a job come up."""

FIRST_DRAW = 1000
"""Seed of the first draw of noise: when the next slide is sent for was chosen on draws 0 to 7, and is not judged by them."""

CLAIMS = Uri.parse("s3://bucket/features/0123456789abcdef/claims/extract-1")


def sizes() -> list[int]:
    """Bytes of each slide: of the manifest, or drawn."""
    if MANIFEST.is_file():
        return [int(line.split("\t")[3]) for line in MANIFEST.read_text().splitlines()[1:]]
    drawn = np.exp(np.random.default_rng(0).normal(math.log(500e6), 1.0, SLIDES))
    return [int(size) for size in np.clip(drawn, SMALLEST, LARGEST)]


def make_cohort(bytes_of: Sequence[int], count: int) -> list[CohortRow]:
    """``count`` slides, the sizes repeated in their order."""
    return [
        CohortRow(
            slide_id=f"s{number:05}", patient_id=f"P{number}", site="", slide_uri=f"s3://bucket/s{number:05}.svs",
            bytes=size, md5="", mpp=None, label=0, split="test", fold=None,
        )
        for number, size in enumerate(islice(cycle(bytes_of), count))
    ]  # fmt: skip


def times(rows: Sequence[CohortRow], seed: int) -> dict[str, float]:
    """Seconds that extracting each slide takes."""
    noise = np.random.default_rng(seed).lognormal(-(NOISE**2) / 2, NOISE, len(rows))
    return {row.slide_id: float(factor) * row.bytes / BYTES_PER_SECOND for row, factor in zip(rows, noise, strict=True)}


def starts(hosts: int, seed: int) -> list[float]:
    """When each host comes up; the first at 0."""
    drawn = np.random.default_rng(seed + 1).uniform(0, START, hosts)
    return [float(start) for start in drawn - drawn.min()]


def bound(seconds: dict[str, float], hosts: int, seed: int = 0) -> float:
    """The least seconds in which hosts that come up like these can be done."""
    longest = max(seconds.values())
    return max((sum(seconds.values()) + sum(starts(hosts, seed))) / hosts, longest)


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
        self.bucket.claims.append((self.clock, Entry(uri, len(content), "")))
        return True

    def list(self, uri: Uri) -> Iterator[Entry]:
        until = self.clock - OLD
        self._request(max(1, -(-len(self.bucket.claims) // 1000)))
        return (entry for made, entry in self.bucket.claims if made <= until)


Ahead = Literal["late", "early", "never"]
"""When a host sends for its next slide: as the code does, when it begins one, or when it is done with one."""


@dataclass
class Host:
    """A host's clock in seconds and its slides: what it extracts as (slide_id, begin, end), and how long it waited.

    ``take`` gives its next slide, ``largest`` how many bytes that can have.
    """

    store: HostStore
    take: Callable[[], CohortRow | None]
    clock: float = 0.0
    largest: Callable[[], int] = lambda: 0
    ahead: Ahead = "early"
    waited: float = 0.0
    done: list[tuple[str, float, float]] = field(default_factory=list)
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock

    def step(self, seconds: dict[str, float]) -> bool:
        """Send for a slide, await it where the one before has ended and begin it; the clock goes to when the next is sent for,
        as ``pathology.wsi.fetching`` does. False when nothing was left."""
        self.store.clock = self.clock
        row = self.take()
        if row is None:
            return False
        begin = max(self._end, self.store.clock + row.bytes / DOWNLOAD_PER_SECOND)
        self.waited += begin - self._end
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
    waiting_share: float
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
    waited = sum(host.waited for host in hosts) / (makespan * len(hosts)) if done else 0.0
    return Outcome(done, makespan, waited, bucket.requests, bucket.refused)


def claiming(
    rows: Sequence[CohortRow],
    seconds: dict[str, float],
    hosts: int,
    seed: int = 0,
    finished: Iterable[str] = (),
    ahead: Ahead = "late",
) -> Outcome:
    """Hosts that claim."""
    bucket, known = Bucket(), frozenset(finished)
    every = []
    for rank, start in enumerate(starts(hosts, seed)):
        store = HostStore(bucket, start)
        share = Share(store, CLAIMS, rows, lambda row: row.slide_id in known, host=f"algo-{rank + 1}", rank=rank, hosts=hosts)
        every.append(Host(store, share.take, start, lambda share=share: share.largest, ahead))  # type: ignore[misc]
    return run_hosts(every, bucket, seconds)


def fixed(shares: Sequence[Sequence[CohortRow]], seconds: dict[str, float], seed: int = 0) -> Outcome:
    """Hosts whose slides are fixed before the start, and are downloaded as early as they can be."""
    bucket = Bucket()
    every = []
    for share, start in zip(shares, starts(len(shares), seed), strict=True):
        left = iter(share)
        every.append(Host(HostStore(bucket, start), lambda left=left: next(left, None), start))  # type: ignore[misc]
    return run_hosts(every, bucket, seconds)


def by_key(rows: Sequence[CohortRow], hosts: int) -> list[list[CohortRow]]:
    """Every ``hosts``-th slide in the order of the table."""
    return [list(rows[rank::hosts]) for rank in range(hosts)]


def by_size(rows: Sequence[CohortRow], hosts: int) -> list[list[CohortRow]]:
    """Longest first, each to the host with the fewest bytes so far (Graham 1969)."""
    shares: list[list[CohortRow]] = [[] for _ in range(hosts)]
    loads = [(0, rank) for rank in range(hosts)]
    for row in sorted(rows, key=largest_first):
        load, rank = heappop(loads)
        shares[rank].append(row)
        heappush(loads, (load + row.bytes, rank))
    return shares


def killed_and_retried(rows: Sequence[CohortRow], seconds: dict[str, float], hosts: int) -> dict[str, int]:
    """Every host killed half-way through the cohort, and the job tried again under another name."""
    whole = claiming(rows, seconds, hosts)
    finished = [slide_id for slide_id, _, end in whole.done if end <= whole.makespan / 2]
    retried = [slide_id for slide_id, _, _ in claiming(rows, seconds, hosts, finished=finished).done]
    return {
        "after_kill_lost": len({row.slide_id for row in rows} - set(finished) - set(retried)),
        "after_kill_again": len(set(finished) & set(retried)) + len(retried) - len(set(retried)),
    }


def small_figures(bytes_of: Sequence[int], count: int, hosts: int, seeds: int) -> dict[str, float]:
    """Every way to share ``count`` slides among ``hosts``: means over the seeds."""
    rows = make_cohort(bytes_of, count)
    found: dict[str, list[float]] = {}
    for seed in range(FIRST_DRAW, FIRST_DRAW + seeds):
        seconds = times(rows, seed)
        least = bound(seconds, hosts, seed)
        shared = claiming(rows, seconds, hosts, seed)
        without = claiming(rows, seconds, hosts, seed, ahead="never")
        for name, value in {
            "makespan_over_bound": shared.makespan / least,
            "by_key_over_bound": fixed(by_key(rows, hosts), seconds, seed).makespan / least,
            "by_size_over_bound": fixed(by_size(rows, hosts), seconds, seed).makespan / least,
            "without_ahead_over_bound": without.makespan / least,
            "early_ahead_over_bound": claiming(rows, seconds, hosts, seed, ahead="early").makespan / least,
            "waiting_share": shared.waiting_share,
            "without_ahead_waiting_share": without.waiting_share,
            "requests_per_slide": shared.requests / count,
            "refused_per_slide": shared.refused / count,
        }.items():
            found.setdefault(name, []).append(value)
    figures = {f"{name}_{hosts}": mean(values) for name, values in found.items()}
    return {**figures, f"makespan_over_bound_worst_{hosts}": max(found["makespan_over_bound"])}


def sharing(
    slides: Annotated[int, typer.Option("--slides", help="Slides of the cohort.", min=1)] = 1000,
    large: Annotated[int, typer.Option("--large", help="Slides of the large cohort.", min=1)] = 10_000,
    seeds: Annotated[int, typer.Option("--seeds", help="Draws of the noise, of which the mean counts.", min=1)] = 16,
) -> None:
    """Simulate hosts that share cohorts, beside shares that are fixed before the start."""
    bytes_of = sizes()
    figures: dict[str, float] = {"slides": slides, "large": large, "manifest": int(MANIFEST.is_file())}
    for hosts in (4, 16, 64):
        figures |= small_figures(bytes_of, slides, hosts, seeds)
    rows = make_cohort(bytes_of, large)
    seconds = times(rows, 0)
    for hosts in (4, 16, 64):
        shared = claiming(rows, seconds, hosts)
        figures[f"makespan_over_bound_{hosts}_{large}"] = shared.makespan / bound(seconds, hosts)
        figures[f"requests_per_slide_{hosts}_{large}"] = shared.requests / large
    figures[f"by_key_over_bound_64_{large}"] = fixed(by_key(rows, 64), seconds).makespan / bound(seconds, 64)
    grown = make_cohort(bytes_of, slides + 10)
    finished = [row.slide_id for row in grown[:slides]]
    figures["ten_added_extracted"] = len(claiming(grown, times(grown, 0), 64, finished=finished).done)
    figures |= killed_and_retried(grown[:slides], times(grown[:slides], 0), 64)
    print_figures(figures)


if __name__ == "__main__":
    typer.run(sharing)
