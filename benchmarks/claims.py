"""How well hosts divide a cohort by claims: ``python -m benchmarks.claims`` runs the claiming code of the jobs on a virtual clock.

Slides have the sizes of the GDC manifest of TCGA-COAD (459 slides of 7.6 MB to 2.76 GB), or are drawn from a lognormal with
that range where the manifest is absent, and are repeated. A slide takes its bytes over ``BYTES_PER_SECOND``, times lognormal
noise. Each host claims through ``pathology.wsi.claims`` on a store in memory whose requests take time and whose listings are a little
old, fetches for a while, extracts, and prefetches the next slide when the code would.

Hosts come up one by one. The bound is when all of them would be done if work could be cut at will and nothing were ever waited
for: the extraction's total and the hosts' late starts over the hosts; or the longest slide, where that is more.

``makespan_over_bound_H``: 1,000 slides on H hosts, the mean over the seeds of the noise, ``…_worst_H`` the worst of them;
``makespan_over_bound_H_10000``: 10,000 slides, one seed.
``by_key_over_bound_H``, ``by_size_over_bound_H``: partitions fixed before the start, rows[rank::hosts] or longest first by size;
their hosts download ahead from the first slide to the last. ``without_ahead_over_bound_H``: claims, and nothing held ahead;
``early_ahead_over_bound_H``: the next slide prefetched as soon as one is begun. Means over the seeds as well.
``waiting_share_H``: of the hosts' time until the end of the cohort, what went by waiting for slides (``without_ahead_…`` too).
``requests_per_slide_H``: to the store, of all hosts, for claims alone; ``refused_per_slide_H``: creates among them that lost.
``after_kill_lost``, ``after_kill_again``: all hosts killed mid-slide and the job retried under another name: slides never
extracted, finished slides extracted again. ``ten_added_extracted``: extractions when ten slides join 1,000 finished ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import cycle, islice
from statistics import mean
from typing import Annotated

import numpy as np
import typer
from pathology.contracts.extraction.slides import SlideToExtract
from pathology.contracts.uris import Uri
from pathology.wsi.claims import WorkQueue, largest_first

from benchmarks.measure import REPOSITORY, print_figures
from benchmarks.simulated_hosts import Ahead, Bucket, Host, HostStore, Outcome, run_hosts

MANIFEST = REPOSITORY.parent / "shared" / "data" / "tcga" / "gdc_manifest_tcga_coad.txt"
MIN_BYTES, MAX_BYTES, SLIDES = 7_610_002, 2_762_599_587, 459

BYTES_PER_SECOND = 5e6
"""Of a slide's file, extracted: a 618 MB slide of 12,000 tiles in two minutes, H-optimus-0 at 100 tiles/s."""

NOISE = 0.4
"""Standard deviation of the logarithm of a slide's time over what its size says: partitions fixed by size then end 13 % over the
bound on 16 hosts and 36 % on 64, so badly does size predict time."""

START = 30.0
"""Seconds within which the hosts of a job come up."""

FIRST_DRAW = 1000
"""Seed of the first draw of noise: when the next slide is prefetched was chosen on draws 0 to 7, and is not judged by them."""

CLAIMS = Uri.parse("s3://bucket/features/0123456789abcdef/claims/extract-1")


def sizes() -> list[int]:
    """Bytes of each slide: of the manifest, or drawn."""
    if MANIFEST.is_file():
        return [int(line.split("\t")[3]) for line in MANIFEST.read_text().splitlines()[1:]]
    drawn = np.exp(np.random.default_rng(0).normal(math.log(500e6), 1.0, SLIDES))
    return [int(size) for size in np.clip(drawn, MIN_BYTES, MAX_BYTES)]


def make_cohort(bytes_of: Sequence[int], count: int) -> list[SlideToExtract]:
    """``count`` slides, the sizes repeated in their order."""
    return [
        SlideToExtract(slide_id=f"s{number:05}", slide_uri=f"s3://bucket/s{number:05}.svs", bytes=size)
        for number, size in enumerate(islice(cycle(bytes_of), count))
    ]


def times(rows: Sequence[SlideToExtract], seed: int) -> dict[str, float]:
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


def claiming(
    rows: Sequence[SlideToExtract],
    seconds: dict[str, float],
    hosts: int,
    seed: int = 0,
    finished: Iterable[str] = (),
    ahead: Ahead = "late",
) -> Outcome:
    """Hosts that claim."""
    bucket, known = Bucket(), frozenset(finished)
    simulated = []
    for rank, start in enumerate(starts(hosts, seed)):
        store = HostStore(bucket, start)
        queue = WorkQueue(store, CLAIMS, rows, lambda row: row.slide_id in known, host=f"algo-{rank + 1}", rank=rank, hosts=hosts)
        simulated.append(Host(store, queue.take, start, lambda queue=queue: queue.largest, ahead))  # type: ignore[misc]
    return run_hosts(simulated, bucket, seconds)


def fixed(partitions: Sequence[Sequence[SlideToExtract]], seconds: dict[str, float], seed: int = 0) -> Outcome:
    """Hosts whose slides are fixed before the start, and are downloaded as early as they can be."""
    bucket = Bucket()
    simulated = []
    for partition, start in zip(partitions, starts(len(partitions), seed), strict=True):
        left = iter(partition)
        simulated.append(Host(HostStore(bucket, start), lambda left=left: next(left, None), start))  # type: ignore[misc]
    return run_hosts(simulated, bucket, seconds)


def by_key(rows: Sequence[SlideToExtract], hosts: int) -> list[list[SlideToExtract]]:
    """Every ``hosts``-th slide in the order of the table."""
    return [list(rows[rank::hosts]) for rank in range(hosts)]


def by_size(rows: Sequence[SlideToExtract], hosts: int) -> list[list[SlideToExtract]]:
    """Longest first, each to the host with the fewest bytes so far (Graham 1969)."""
    partitions: list[list[SlideToExtract]] = [[] for _ in range(hosts)]
    loads = [(0, rank) for rank in range(hosts)]
    for row in sorted(rows, key=largest_first):
        load, rank = heappop(loads)
        partitions[rank].append(row)
        heappush(loads, (load + row.bytes, rank))
    return partitions


def killed_and_retried(rows: Sequence[SlideToExtract], seconds: dict[str, float], hosts: int) -> dict[str, int]:
    """Every host killed half-way through the cohort, and the job tried again under another name."""
    whole = claiming(rows, seconds, hosts)
    finished = [slide_id for slide_id, _, end in whole.done if end <= whole.makespan / 2]
    retried = [slide_id for slide_id, _, _ in claiming(rows, seconds, hosts, finished=finished).done]
    return {
        "after_kill_lost": len({row.slide_id for row in rows} - set(finished) - set(retried)),
        "after_kill_again": len(set(finished) & set(retried)) + len(retried) - len(set(retried)),
    }


def small_figures(bytes_of: Sequence[int], count: int, hosts: int, seeds: int) -> dict[str, float]:
    """Every way to divide ``count`` slides among ``hosts``: means over the seeds."""
    rows = make_cohort(bytes_of, count)
    draws: dict[str, list[float]] = {}
    for seed in range(FIRST_DRAW, FIRST_DRAW + seeds):
        seconds = times(rows, seed)
        lower_bound = bound(seconds, hosts, seed)
        claimed = claiming(rows, seconds, hosts, seed)
        without = claiming(rows, seconds, hosts, seed, ahead="never")
        for name, value in {
            "makespan_over_bound": claimed.makespan / lower_bound,
            "by_key_over_bound": fixed(by_key(rows, hosts), seconds, seed).makespan / lower_bound,
            "by_size_over_bound": fixed(by_size(rows, hosts), seconds, seed).makespan / lower_bound,
            "without_ahead_over_bound": without.makespan / lower_bound,
            "early_ahead_over_bound": claiming(rows, seconds, hosts, seed, ahead="early").makespan / lower_bound,
            "waiting_share": claimed.stall_fraction,
            "without_ahead_waiting_share": without.stall_fraction,
            "requests_per_slide": claimed.requests / count,
            "refused_per_slide": claimed.refused / count,
        }.items():
            draws.setdefault(name, []).append(value)
    figures = {f"{name}_{hosts}": mean(values) for name, values in draws.items()}
    return {**figures, f"makespan_over_bound_worst_{hosts}": max(draws["makespan_over_bound"])}


def claims(
    slides: Annotated[int, typer.Option("--slides", help="Slides of the cohort.", min=1)] = 1000,
    large: Annotated[int, typer.Option("--large", help="Slides of the large cohort.", min=1)] = 10_000,
    seeds: Annotated[int, typer.Option("--seeds", help="Draws of the noise, of which the mean counts.", min=1)] = 16,
) -> None:
    """Simulate hosts that divide cohorts by claims, beside partitions that are fixed before the start."""
    bytes_of = sizes()
    figures: dict[str, float] = {"slides": slides, "large": large, "manifest": int(MANIFEST.is_file())}
    for hosts in (4, 16, 64):
        figures |= small_figures(bytes_of, slides, hosts, seeds)
    rows = make_cohort(bytes_of, large)
    seconds = times(rows, 0)
    for hosts in (4, 16, 64):
        claimed = claiming(rows, seconds, hosts)
        figures[f"makespan_over_bound_{hosts}_{large}"] = claimed.makespan / bound(seconds, hosts)
        figures[f"requests_per_slide_{hosts}_{large}"] = claimed.requests / large
    figures[f"by_key_over_bound_64_{large}"] = fixed(by_key(rows, 64), seconds).makespan / bound(seconds, 64)
    grown = make_cohort(bytes_of, slides + 10)
    finished = [row.slide_id for row in grown[:slides]]
    figures["ten_added_extracted"] = len(claiming(grown, times(grown, 0), 64, finished=finished).done)
    figures |= killed_and_retried(grown[:slides], times(grown[:slides], 0), 64)
    print_figures(figures)


if __name__ == "__main__":
    typer.run(claims)
