"""How fast tiles leave a slide, as the encoder takes them: ``python -m benchmarks.extraction``.

Against OpenSlide with two threads and one read per tile, and against the limit that decoding sets: every JPEG tile that the
grid touches decoded exactly once by libjpeg-turbo, on as many threads, and nothing else.

``ratio_openslide_20x``, ``ratio_openslide_40x``, ``ratio_openslide_jpeg2000``: tiles/s over OpenSlide's.
``share_of_decode_limit``: the lesser of the two fractions ``share_of_decode_limit_20x`` and ``…_40x``.
``seconds_survey``: opening, tissue and grid of the 40× slide. ``peak_mb``: of a process that reads it without an encoder, and
``ratio_peak_four_times_the_area`` of one that reads a slide of four times the area, over the same.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import imagecodecs
import numpy as np
import tifffile
import typer
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.cucim_reader import load_cucim
from pathology.wsi.extraction import SlidePlan, plan_slide
from pathology.wsi.grid import whole_side
from pathology.wsi.readers import open_slide
from pathology.wsi.tiles import THREADS, read_runs, resample

from benchmarks.measure import REPOSITORY, print_figures, seconds_of
from benchmarks.slides import TILE, write_slide

AHEAD = 256
_READ_ALONE = f"""
import sys
from pathlib import Path
from pathology.wsi.cucim_reader import load_cucim
load_cucim()
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import plan_slide
from pathology.wsi.tiles import read_runs
plan = plan_slide(Path(sys.argv[1]), Tiling())
for run in read_runs(plan.slide, plan.grid, {AHEAD}):
    pass
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
"""Not measured by getrusage, whose peak is that of the process that forked this one."""


def read_ours(plan: SlidePlan) -> int:
    """Every tile in the order in which it is embedded; how many could be decoded."""
    return sum(int(run.good.sum()) for run in read_runs(plan.slide, plan.grid, AHEAD))


def read_with_openslide(path: Path, plan: SlidePlan) -> None:
    """The same tiles by OpenSlide, one read a tile, on as many threads."""
    slide = open_slide(path, readers=["openslide"])
    side = whole_side(plan.grid.side)

    def one(corner: np.ndarray) -> None:
        region = slide.read_region(int(corner[0]), int(corner[1]), side, side, plan.grid.level)
        resample(region, plan.grid.side, plan.grid.tile_size)

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(one, plan.grid.level_coords):
            pass
    slide.close()


def decode_once(path: Path, plan: SlidePlan) -> None:
    """Every TIFF tile that the grid touches, once, by libjpeg-turbo alone."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[plan.grid.level]
        across = -(-page.imagewidth // TILE)
        side = whole_side(plan.grid.side)
        first, last = plan.grid.level_coords // TILE, (plan.grid.level_coords + side - 1) // TILE
        needed = sorted(
            {
                y * across + x
                for (left, top), (right, bottom) in zip(first.tolist(), last.tolist(), strict=True)
                for y in range(top, bottom + 1)
                for x in range(left, right + 1)
            }
        )
        content = path.read_bytes()
        parts = [content[page.dataoffsets[i] : page.dataoffsets[i] + page.databytecounts[i]] for i in needed]

    def some(start: int) -> None:
        for part in parts[start::THREADS]:
            imagecodecs.jpeg8_decode(part)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(some, range(THREADS)))


def speeds(path: Path, repeats: int, *, jpeg: bool) -> dict[str, float]:
    """Medians of tiles/s, taken in turns: ours, OpenSlide's and, for JPEG, the limit."""
    plan = plan_slide(path, Tiling())
    works = {"ours": lambda: read_ours(plan), "openslide": lambda: read_with_openslide(path, plan)}
    if jpeg:
        works["limit"] = lambda: decode_once(path, plan)
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds_of(work))
    plan.slide.close()
    return {name: len(plan.grid) / statistics.median(taken) for name, taken in times.items()}


def peak_mb(path: Path) -> float:
    """Peak memory in MB of a process that reads every tile of a slide and embeds none."""
    done = subprocess.run(
        [sys.executable, "-c", _READ_ALONE, str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1]) / 1024


def measured(folder: Path, side: int, repeats: int) -> Iterator[tuple[str, float]]:
    """The figures, as they come."""
    for name, mpp in (("20x", 0.5), ("40x", 0.25)):
        path = folder / f"{name}.svs"
        write_slide(path, side, mpp)
        if name == "20x":
            plan_slide(path, Tiling()).slide.close()  # libraries load with the first slide
        figures = speeds(path, repeats, jpeg=True)
        yield f"tiles_per_s_{name}", figures["ours"]
        yield f"tiles_per_s_openslide_{name}", figures["openslide"]
        yield f"ratio_openslide_{name}", figures["ours"] / figures["openslide"]
        yield f"share_of_decode_limit_{name}", figures["ours"] / figures["limit"]
    again = folder / "40x.svs"
    times = [seconds_of(lambda: plan_slide(again, Tiling())) for _ in range(repeats)]
    yield "seconds_survey", statistics.median(times)
    yield "peak_mb", peak_mb(folder / "40x.svs")
    write_slide(folder / "four.svs", 2 * side, 0.25)
    yield "peak_mb_four_times_the_area", peak_mb(folder / "four.svs")
    write_slide(folder / "j2k.svs", side // 4, 0.5, "jpeg2000")
    figures = speeds(folder / "j2k.svs", repeats, jpeg=False)
    yield "ratio_openslide_jpeg2000", figures["ours"] / figures["openslide"]


def extraction(
    side: Annotated[int, typer.Option("--side", help="Side of the slides in px.", min=2000)] = 20_000,
    repeats: Annotated[int, typer.Option("--repeats", help="Takes of each, of which the median counts.", min=1)] = 3,
) -> None:
    """Time reading against OpenSlide and against decoding alone."""
    load_cucim()
    with tempfile.TemporaryDirectory() as folder:
        figures = dict(measured(Path(folder), side, repeats))
    figures["share_of_decode_limit"] = min(figures["share_of_decode_limit_20x"], figures["share_of_decode_limit_40x"])
    figures["ratio_peak_four_times_the_area"] = figures["peak_mb_four_times_the_area"] / figures["peak_mb"]
    print_figures({"threads": THREADS, "side": side, **figures})


if __name__ == "__main__":
    typer.run(extraction)
