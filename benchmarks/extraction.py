"""How fast tiles leave a slide, as the encoder takes them: ``python -m benchmarks.extraction``.

Against OpenSlide with two threads and one read per tile, and against the limit that decoding sets: every TIFF tile that the
grid touches decoded exactly once, strictly, on as many threads, and nothing else.

``ratio_openslide_20x``, ``_40x``, ``_uneven_40x``, ``_jpeg2000_20x``, ``_jpeg2000_40x``: tiles/s over OpenSlide's, whose px are
resampled by the same code. ``share_of_strict_limit_20x`` and so on: tiles/s over the limit's, which resamples nothing.

``seconds_survey``: opening, tissue and grid of the 40× slide. ``peak_mb``: of a
process that reads it without an encoder, and ``ratio_peak_four_times_the_area`` of one that reads a slide of four times the area,
over the same. ``same_bytes``: 1 where 1, 2 and 4 threads give the same tiles in the same order.
"""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import imagecodecs
import numpy as np
import simplejpeg
import tifffile
import typer
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.cucim_reader import load_cucim
from pathology.wsi.extraction import SlidePlan, plan_slide
from pathology.wsi.grid import whole_side
from pathology.wsi.reader_threads import START as THREADS
from pathology.wsi.reader_threads import ReaderThreads
from pathology.wsi.readers import open_slide
from pathology.wsi.tiles import Run, read_runs, resample

from benchmarks.measure import REPOSITORY, print_figures, seconds_of
from benchmarks.slides import TILE, Compression, write_slide

AHEAD = 256
UNEVEN = 0.2527
"""µm/px of many of TCGA's slides: a tile is 443.2 px, no whole part of which is one of its own."""
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


def read_with_threads(plan: SlidePlan, threads: int) -> Iterator[Run]:
    """The runs of the grid, read by so many threads."""
    yield from read_runs(plan.slide, plan.grid, AHEAD, ReaderThreads(threads, least=threads))


def decode_strictly(tile: bytes) -> np.ndarray:
    """A JPEG tile by libjpeg-turbo, whose warnings are errors."""
    return np.asarray(simplejpeg.decode_jpeg(tile, strict=True))


def decode_jpeg2000(tile: bytes) -> np.ndarray:
    """A JPEG 2000 tile by OpenJPEG."""
    return np.asarray(imagecodecs.jpeg2k_decode(tile, numthreads=1))


DECODERS: dict[Compression, Callable[[bytes], np.ndarray]] = {"jpeg": decode_strictly, "jpeg2000": decode_jpeg2000}


def decode_once(path: Path, plan: SlidePlan, decode: Callable[[bytes], np.ndarray]) -> None:
    """Every TIFF tile that the grid touches, once, and nothing else."""
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
            decode(part)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(some, range(THREADS)))


def speeds(path: Path, repeats: int, compression: Compression) -> dict[str, float]:
    """Medians of tiles/s, taken in turns: ours, OpenSlide's and the limit."""
    times: dict[str, list[float]] = {"ours": [], "openslide": [], "limit": []}
    for _ in range(repeats):
        plan = plan_slide(path, Tiling())  # nothing of an earlier take is kept
        times["ours"].append(seconds_of(partial(read_ours, plan)))
        plan.slide.close()
        times["openslide"].append(seconds_of(partial(read_with_openslide, path, plan)))
        times["limit"].append(seconds_of(partial(decode_once, path, plan, DECODERS[compression])))
    return {name: len(plan.grid) / statistics.median(taken) for name, taken in times.items()}


def survey(path: Path) -> None:
    """Open a slide, find its tissue and lay the grid."""
    plan_slide(path, Tiling()).slide.close()


def same_bytes(path: Path) -> bool:
    """Whether 1, 2 and 4 threads give the same tiles in the same order."""
    digests = set()
    for threads in (1, 2, 4):
        plan = plan_slide(path, Tiling())
        order, pixels = hashlib.sha256(), hashlib.sha256()
        for run in read_with_threads(plan, threads):
            order.update(run.indices.tobytes())
            pixels.update(np.ascontiguousarray(run.tiles).tobytes())
        plan.slide.close()
        digests.add((order.digest(), pixels.digest()))
    return len(digests) == 1


def peak_mb(path: Path) -> float:
    """Peak memory in MB of a process that reads every tile of a slide and embeds none."""
    done = subprocess.run(
        [sys.executable, "-c", _READ_ALONE, str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1]) / 1024


def measured(folder: Path, side: int, repeats: int) -> Iterator[tuple[str, float]]:
    """The figures, as they come."""
    slides: list[tuple[str, Compression, int, float]] = [
        ("20x", "jpeg", side, 0.5),
        ("40x", "jpeg", side, 0.25),
        ("uneven_40x", "jpeg", side, UNEVEN),
        ("jpeg2000_20x", "jpeg2000", side // 4, 0.5),
        ("jpeg2000_40x", "jpeg2000", side // 4, 0.25),
    ]
    for name, compression, wide, mpp in slides:
        path = folder / f"{name}.svs"
        write_slide(path, wide, mpp, compression)
        survey(path)  # libraries load with the first slide
        figures = speeds(path, repeats, compression)
        yield f"tiles_per_s_{name}", figures["ours"]
        yield f"tiles_per_s_openslide_{name}", figures["openslide"]
        yield f"ratio_openslide_{name}", figures["ours"] / figures["openslide"]
        yield f"share_of_strict_limit_{name}", figures["ours"] / figures["limit"]
    again = folder / "40x.svs"
    yield (
        "seconds_survey",
        statistics.median(seconds_of(partial(survey, again)) for _ in range(repeats)),
    )
    yield "same_bytes", int(same_bytes(folder / "jpeg2000_20x.svs") and same_bytes(again))
    yield "peak_mb", peak_mb(again)
    write_slide(folder / "four.svs", 2 * side, 0.25)
    yield "peak_mb_four_times_the_area", peak_mb(folder / "four.svs")


def extraction(
    side: Annotated[int, typer.Option("--side", help="Side of the slides in px.", min=2000)] = 20_000,
    repeats: Annotated[int, typer.Option("--repeats", help="Takes of each, of which the median counts.", min=1)] = 3,
) -> None:
    """Time reading against OpenSlide and against decoding alone."""
    load_cucim()
    with tempfile.TemporaryDirectory() as folder:
        figures = dict(measured(Path(folder), side, repeats))
    figures["ratio_peak_four_times_the_area"] = figures["peak_mb_four_times_the_area"] / figures["peak_mb"]
    print_figures({"threads": THREADS, "side": side, **figures})


if __name__ == "__main__":
    typer.run(extraction)
