"""LazySlide: its tissue and tiles, read through its data set by two threads with a slide each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from measured import MPP, SIDE, THREADS, Tiles, Tool, main


def _opened(path: Path, reader: str):  # type: ignore[no-untyped-def]
    import lazyslide
    from wsidata import open_wsi

    slide = open_wsi(path, store=None, reader=reader)
    lazyslide.pp.find_tissues(slide)
    lazyslide.pp.tile_tissues(slide, SIDE, mpp=MPP)
    return slide


def plan(path: Path, configuration: str) -> Callable[[], Tiles]:
    """Its grid, and what reads it with one of its readers."""
    sets = [_opened(path, configuration).ds.tile_images() for _ in range(THREADS)]

    def read() -> Tiles:
        def one(number: int) -> tuple[int, int, np.ndarray]:
            item = sets[number % THREADS][number]
            return int(item["x"]), int(item["y"]), np.asarray(item["image"])

        count = len(sets[0])
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            pools = (first, second)
            waiting = [pools[number % THREADS].submit(one, number) for number in range(min(64, count))]
            for number in range(count):
                found = waiting.pop(0).result()
                if number + 64 < count:
                    waiting.append(pools[(number + 64) % THREADS].submit(one, number + 64))
                yield found

    return read


def write(path: Path, folder: Path) -> None:
    """Tissue and tiles as its zarr store."""
    import lazyslide
    from wsidata import open_wsi

    slide = open_wsi(path, store=str(folder / "slide.zarr"), reader="openslide")
    lazyslide.pp.find_tissues(slide)
    lazyslide.pp.tile_tissues(slide, SIDE, mpp=MPP)
    slide.write()


if __name__ == "__main__":
    main(Tool(("lazyslide", "wsidata", "fastslide", "openslide-python"), ("openslide", "fastslide"), plan, write, torch=True))
