"""TIAToolbox: its tissue mask and sliding window, read by two threads with a reader each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from measured import MPP, SIDE, THREADS, Tiles, Tool, main


def _extractor(path: Path):  # type: ignore[no-untyped-def]
    from tiatoolbox.tools.patchextraction import SlidingWindowPatchExtractor
    from tiatoolbox.wsicore.wsireader import WSIReader

    reader = WSIReader.open(path)
    mask = reader.tissue_mask("morphological", resolution=8.0, units="mpp")
    return SlidingWindowPatchExtractor(
        reader, SIDE, input_mask=mask, resolution=MPP, units="mpp", within_bound=True, min_mask_ratio=0.5
    )


def plan(path: Path, configuration: str) -> Callable[[], Tiles]:
    """Its grid, and what reads it."""
    logging.getLogger().setLevel(logging.ERROR)
    extractors = [_extractor(path) for _ in range(THREADS)]
    scale = MPP / float(np.mean(extractors[0].wsi.info.mpp))
    places = extractors[0].locations_df

    def read() -> Tiles:
        def one(number: int) -> np.ndarray:
            return np.asarray(extractors[number % THREADS][number])

        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            pools = (first, second)
            waiting = [pools[number % THREADS].submit(one, number) for number in range(min(64, len(places)))]
            for number in range(len(places)):
                tile = waiting.pop(0).result()
                if number + 64 < len(places):
                    waiting.append(pools[(number + 64) % THREADS].submit(one, number + 64))
                yield round(float(places["x"][number]) * scale), round(float(places["y"][number]) * scale), tile

    return read


def write(path: Path, folder: Path) -> None:
    """Tiles as JPEG files, as its command ``save-tiles`` leaves them."""
    from tiatoolbox.wsicore.wsireader import WSIReader

    WSIReader.open(path).save_tiles(folder / "tiles", tile_objective_value=20, tile_read_size=(SIDE, SIDE))


if __name__ == "__main__":
    main(Tool(("tiatoolbox", "openslide-python", "torch"), ("",), plan, write, torch=True))
