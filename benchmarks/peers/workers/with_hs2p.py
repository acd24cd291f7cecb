"""hs2p: its grid, its reads of several tiles at once, any of its backends; two threads, which it has itself for cuCIM alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hs2p import SegmentationConfig, SlideSpec, TilingConfig, save_tiling_result, tile_slide
from hs2p.api import extract_tiles_to_tar
from hs2p.wsi import iter_tile_records_from_result
from hs2p.wsi.streaming.plans import iter_grouped_read_plans, resolve_read_step_px, resolve_step_px_lv0
from hs2p.wsi.streaming.regions import iter_plan_region_tile_views
from hs2p.wsi.streaming.stream import open_reader_for_result
from measured import MPP, SIDE, THREADS, Tiles, Tool, main

GROUPS = {"8,4,2": (8, 4, 2), "4,2": (4, 2), "2": (2,)}
"""Tiles a side of what is read at once; hs2p's own choice is the first."""

CONFIGURATIONS = tuple(
    f"{backend} {groups}" for backend, groups in itertools.product(("cucim-batched", "cucim", "openslide", "vips"), GROUPS)
)


def lay_grid(path: Path, backend: str) -> Any:
    """hs2p's tissue and grid; the scale is given, since libvips does not read Aperio's."""
    spacing = float(path.stem.rpartition("-")[2])
    tiling = TilingConfig(backend=backend, requested_spacing_um=MPP, requested_tile_size_px=SIDE, tolerance=0.07, overlap=0.0)
    spec = SlideSpec(sample_id=path.stem, image_path=path, spacing_at_level_0=spacing)
    return tile_slide(spec, tiling=tiling, segmentation=SegmentationConfig(method="hsv", downsample=16))


def _to_size(tile: np.ndarray) -> np.ndarray:
    return tile if tile.shape[0] == SIDE else cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _by_threads(result: Any, groups: tuple[int, ...]) -> Tiles:
    """Reads divided among threads, each with a reader of its own."""
    step, step0 = resolve_read_step_px(result), resolve_step_px_lv0(result)
    plans = list(iter_grouped_read_plans(result=result, read_step_px=step, step_px_lv0=step0, supertile_sizes=groups))
    readers = [open_reader_for_result(result) for _ in range(THREADS)]
    side = int(result.read_tile_size_px)

    def read(number: int) -> list[tuple[int, int, np.ndarray]]:
        plan = plans[number]
        size = (int(plan.read_size_px), int(plan.read_size_px))
        region = np.asarray(readers[number % THREADS].read_region((int(plan.x), int(plan.y)), int(result.read_level), size))
        views = iter_plan_region_tile_views(region, read_plan=plan, tile_size_px=side, read_step_px=step)
        return [(view.x, view.y, _to_size(view.tile_arr)) for view in views]

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        pools = (first, second)
        yield from _ahead(pools, read, len(plans))
    for reader in readers:
        reader.close()


def _ahead(pools: tuple[ThreadPoolExecutor, ...], read: Callable[[int], list[tuple[int, int, np.ndarray]]], count: int) -> Tiles:
    """The reads in order, two for each thread ahead of need; a reader stays with its thread."""
    waiting = [pools[number % THREADS].submit(read, number) for number in range(min(2 * THREADS, count))]
    for number in range(count):
        yield from waiting.pop(0).result()
        if (ahead := number + 2 * THREADS) < count:
            waiting.append(pools[ahead % THREADS].submit(read, ahead))


def _batched(result: Any, groups: tuple[int, ...]) -> Tiles:
    """hs2p's own threads, those of cuCIM."""
    records = iter_tile_records_from_result(result=result, num_workers=THREADS, supertile_sizes=groups)
    with ThreadPoolExecutor(THREADS) as pool:
        while part := list(itertools.islice(records, 256)):
            sized: Iterator[np.ndarray] = pool.map(_to_size, [record.tile_arr for record in part])
            for record, tile in zip(part, sized, strict=True):
                yield record.x, record.y, tile


def plan(path: Path, configuration: str) -> Callable[[], Tiles]:
    """hs2p's grid of a slide, and what reads it in a configuration."""
    backend, groups = configuration.split()
    result = lay_grid(path, backend.removesuffix("-batched"))
    read = _batched if backend.endswith("-batched") else _by_threads
    return lambda: read(result, GROUPS[groups])


def forget() -> None:
    """libvips keeps opened images, and with them their decoded tiles, for whoever opens the same file again."""
    import pyvips

    pyvips.cache_set_max(0)
    pyvips.cache_set_max(100)


def write(path: Path, folder: Path) -> None:
    """Coordinates, and the tiles as a tar of JPEG files."""
    result = lay_grid(path, "openslide")
    save_tiling_result(result, output_dir=folder)
    extract_tiles_to_tar(result, folder, num_workers=THREADS, jpeg_backend="pil")


if __name__ == "__main__":
    main(Tool(("hs2p", "openslide-python", "cucim-cu12", "pyvips"), CONFIGURATIONS, plan, write, forget=forget))
