"""Reading slides beside the tools that others use: ``python -m benchmarks.peers``.

``--prepare`` installs, once and untimed, the newest hs2p, TIAToolbox and LazySlide, each in an environment of its own in the user's
cache; what cannot be installed is named with the reason, as are TRIDENT and CLAM by ``--also``.

One run, of at most ten minutes, has every tool read the same made slides with two threads, a process each, in turns:
``tiles_per_s_<tool>_<slide>`` to the encoder's input, ``ratio_hs2p_<slide>`` of ours over hs2p in its best configuration for
that slide, ``peak_mb_<tool>_<slide>`` of the process without what importing torch takes. Of damaged slides, ``damage_used_…``: tiles
that a strict decoder complains of and that were given all the same; ``damage_left_out_…``. Of files, ``half_files_<tool>`` after kill -9
and ``bytes_equal_<tool>`` of two runs.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measure import print_figures
from benchmarks.peers.damage import damage_announced, used_although_announced
from benchmarks.peers.environments import PEERS, Peer, Worker, cache, install, why_missing
from benchmarks.peers.files import files_of
from benchmarks.slides import Compression, write_slide

LIMIT_SECONDS = 600
LAST_START_SECONDS = 540
"""No measurement begins later."""

OUR_CONFIGURATION = ""
SLIDES: dict[str, tuple[Compression, float]] = {
    "jpeg_20x": ("jpeg", 0.5),
    "jpeg_40x": ("jpeg", 0.25),
    "jpeg2000_20x": ("jpeg2000", 0.5),
    "jpeg2000_40x": ("jpeg2000", 0.25),
}


class Clock:
    """What is left of the run, and what was left out for want of it."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()

    def late(self, what: str) -> bool:
        """Whether it is too late to begin, which is then said."""
        is_late = time.perf_counter() - self.begun > LAST_START_SECONDS
        if is_late:
            print(f"{what}: left out, the run's {LIMIT_SECONDS} s are nearly over")
        return is_late

    def left(self) -> float:
        """Seconds until the run has to end."""
        return max(5.0, LIMIT_SECONDS - (time.perf_counter() - self.begun))


def best_configuration(worker: Worker, slide: Path, clock: Clock) -> str | None:
    """The fastest configuration of a tool on a slide; those that do not read it are named; None where none does."""
    answer = worker.ask("probe", str(slide), seconds=clock.left())
    if "error" in answer:
        print(f"{worker.name} on {slide.stem}: {answer['error']}")
        return None
    found = answer["configurations"]
    assert isinstance(found, dict)
    speeds = {name: speed for name, speed in found.items() if isinstance(speed, float)}
    reasons = {name.split()[0]: reason for name, reason in found.items() if name not in speeds}
    for name, reason in reasons.items():
        print(f"{worker.name} {name} on {slide.stem}: {reason}")
    if not speeds:
        return None
    best = max(speeds, key=speeds.__getitem__)
    if len(found) > 1:
        print(f"{worker.name} on {slide.stem}: best of {len(speeds)} configurations is {best!r}")
    return best


def speeds(workers: dict[Worker, str], warm: Path, slide: Path, repeats: int, clock: Clock) -> Iterator[tuple[str, str, float]]:
    """Tool, figure and value: medians of ``repeats`` processes of each tool, in turns."""
    taken: dict[str, list[float]] = {worker.name: [] for worker in workers}
    peaks: dict[str, float] = {}
    for _ in range(repeats):
        for worker, configuration in workers.items():
            if clock.late(f"a take of {worker.name} on {slide.stem}"):
                continue
            answer = worker.ask("speed", str(warm), str(slide), configuration, "1", seconds=clock.left())
            if "error" in answer:
                print(f"{worker.name} on {slide.stem}: {answer['error']}")
                continue
            seconds, tiles, peak = answer["seconds"], answer["tiles"], answer["peak_mb"]
            assert isinstance(seconds, list) and isinstance(tiles, int) and isinstance(peak, float)
            taken[worker.name].append(tiles / seconds[0])
            peaks[worker.name] = max(peaks.get(worker.name, 0.0), peak)
            if versions := answer["versions"]:
                assert isinstance(versions, dict)
                VERSIONS[worker.name] = ", ".join(f"{name} {version}" for name, version in versions.items())
    for name, takes in taken.items():
        if takes:
            yield name, "tiles_per_s", statistics.median(takes)
            yield name, "peak_mb", peaks[name]


VERSIONS: dict[str, str] = {}
"""Of what was measured, by tool."""


def measured(folder: Path, workers: list[Worker], sides: dict[Compression, int], repeats: int) -> Iterator[tuple[str, float]]:
    """The figures, as they come; first those that the ratios are of."""
    clock = Clock()
    chosen: dict[tuple[str, str], str] = {}
    for name, (compression, mpp) in SLIDES.items():
        slide, small = folder / f"{name}-{mpp}.svs", folder / f"small_{name}-{mpp}.svs"
        write_slide(slide, sides[compression], mpp, compression)
        write_slide(small, sides[compression] // 2, mpp, compression)
        for worker in workers:
            if clock.late(f"{worker.name} on {name}"):
                continue
            best = OUR_CONFIGURATION if worker.name == "ours" else best_configuration(worker, small, clock)
            if best is not None:
                chosen[worker.name, name] = best
        both = {worker: chosen[worker.name, name] for worker in workers if (worker.name, name) in chosen}
        raced = {worker: text for worker, text in both.items() if worker.name in ("ours", "hs2p")}
        others = {worker: text for worker, text in both.items() if worker not in raced}
        rates: dict[str, float] = {}
        for group, takes in ((raced, repeats), (others, 1)):
            for tool, figure, value in speeds(group, small, slide, takes, clock):
                yield f"{figure}_{tool}_{name}", value
                if figure == "tiles_per_s":
                    rates[tool] = value
        for tool, rate in rates.items():
            if tool != "ours" and "ours" in rates:
                yield f"ratio_{tool}_{name}", rates["ours"] / rate
    for compression in ("jpeg", "jpeg2000"):
        yield from _of_damage(folder, workers, compression, chosen, clock)
    small = folder / f"small_jpeg_20x-{SLIDES['jpeg_20x'][1]}.svs"
    for worker in workers:
        if not clock.late(f"files of {worker.name}"):
            yield from _named(f"files of {worker.name}", files_of(worker, small, folder / "files", clock.left() / 2), worker.name)


def _of_damage(
    folder: Path, workers: list[Worker], compression: Compression, chosen: dict[tuple[str, str], str], clock: Clock
) -> Iterator[tuple[str, float]]:
    name = f"{compression}_20x"
    clean = folder / f"small_{name}-{SLIDES[name][1]}.svs"
    damaged = folder / f"damaged_{name}-{SLIDES[name][1]}.svs"
    shutil.copyfile(clean, damaged)
    yield f"damaged_tiff_tiles_{compression}", damage_announced(damaged, compression)
    for worker in workers:
        what = f"damage to {compression} by {worker.name}"
        if (worker.name, name) in chosen and not clock.late(what):
            found = used_although_announced(worker, clean, damaged, chosen[worker.name, name], folder, clock.left())
            yield from _named(what, found, f"{worker.name}_{compression}")


def _named(what: str, found: dict[str, float] | str, suffix: str) -> Iterator[tuple[str, float]]:
    if isinstance(found, str):
        print(f"{what}: {found}")
        return
    for figure, value in found.items():
        yield f"{figure}_{suffix}", value


def ready(peers: list[Peer], folder: Path) -> list[Worker]:
    """Ours, and the peers that can be measured; why the others cannot is printed."""
    workers = [Worker.ours()]
    for peer in peers:
        if reason := why_missing(peer, folder):
            print(f"{peer.name} ({peer.licence}): {reason}")
        else:
            workers.append(Worker.of(peer, folder))
    return workers


def prepare_all(peers: list[Peer], folder: Path) -> None:
    """Install each peer; a line each."""
    for peer in peers:
        reason = install(peer, folder)
        print(f"{peer.name} ({peer.licence}): " + (f"cannot be installed: {reason}" if reason else "installed"), flush=True)


def main(
    prepare: Annotated[bool, typer.Option("--prepare", help="Install the peers in their environments, and end.")] = False,
    also: Annotated[
        list[str] | None, typer.Option("--also", help="trident or clam: named with why they are not measured.")
    ] = None,
    side: Annotated[int, typer.Option("--side", help="Side of the JPEG slides in px; of JPEG 2000's 3/7.", min=2800)] = 14_000,
    repeats: Annotated[int, typer.Option("--repeats", help="Processes of ours and hs2p, of which the median counts.", min=1)] = 3,
) -> None:
    """Measure reading slides beside other tools."""
    if unknown := set(also or ()) - PEERS.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: known are {', '.join(PEERS)}", param_hint="--also")
    peers = [peer for peer in PEERS.values() if not peer.by_option or peer.name in (also or ())]
    folder = cache()
    if prepare:
        prepare_all(peers, folder)
        return
    with tempfile.TemporaryDirectory() as work:
        sides: dict[Compression, int] = {"jpeg": side, "jpeg2000": side * 3 // 7}
        figures = dict(measured(Path(work), ready(peers, folder), sides, repeats))
    for name, text in VERSIONS.items():
        print(f"{name}: {text}")
    print_figures({"threads": 2, "side": side, **figures})


if __name__ == "__main__":
    typer.run(main)
