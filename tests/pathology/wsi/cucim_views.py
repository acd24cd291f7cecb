"""What a process sees that loaded cuCIM first; each function runs in the one of ``cucim_process``."""

from collections import Counter
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi import extraction
from pathology.wsi.cucim_reader import load_cucim
from pathology.wsi.grid import make_grid
from pathology.wsi.readers import open_slide
from pathology.wsi.tiles import read_runs


def is_there() -> bool:
    """Whether cuCIM is installed and can be loaded."""
    return load_cucim() is not None


def both_readers(path: Path, coarse: int = 224) -> dict[str, object]:
    """In how many regions all over the slide cuCIM and OpenSlide ``differ``."""
    fast, reference = open_slide(path, readers=["cucim"]), open_slide(path, readers=["openslide"])
    differ = 0
    for level, size in enumerate(fast.levels):
        side = coarse // (4 if level else 1)
        for y in range(0, size.height - side + 1, side + 13):
            for x in range(0, size.width - side + 1, side + 7):
                pair = [reader.read_region(x, y, side, side, level) for reader in (fast, reference)]
                apart = np.abs(pair[0].astype(int) - pair[1])
                differ += bool(apart.max() > 0) if level == 0 else bool(apart.mean() > 3)
    return {"names": [fast.name, reference.name], "differ": differ, "mpp": fast.mpp.mpp}


def damaged_tile(path: Path, x: int, y: int) -> dict[str, object]:
    """How regions across and beside the damaged TIFF tile at ``x``, ``y`` are answered."""
    slide, reference = open_slide(path, readers=["cucim"]), open_slide(path, readers=["openslide"])
    refused = []
    for top in (y - 100, y + 100, y - 100):
        try:
            slide.read_region(x - 500, top, 1200, 224, 0)
            refused.append(False)
        except DataError:
            refused.append(True)
    beside = (x - 500, y - 500, 224, 224, 0)
    differs = int((slide.read_region(*beside) != reference.read_region(*beside)).sum())
    silent = bool(np.asarray(slide.reader._image.read_region(location=(x - 500, y - 100), size=(1200, 224), level=0)).any())
    return {"name": slide.name, "refused": refused, "beside_differs": differs, "silent_without_care": silent}


def decoded_tiles(path: Path) -> dict[str, object]:
    """How many TIFF tiles are decoded for a whole grid of tiles, and ``max_times``, how often one of them is at most."""
    slide, asked = open_slide(path, readers=["cucim"]), Counter()
    store = slide.reader._store
    store.clear()
    decode = store._decode

    def counting(level, row, first, last):
        asked.update((level, row, column) for column in range(first, last))
        return decode(level, row, first, last)

    store._decode = counting
    tissue = np.ones((slide.levels[0].height // 16, slide.levels[0].width // 16), bool)
    grid = make_grid(slide, 0.5, tissue, 16.0, Tiling())
    good = sum(int(run.good.sum()) for run in read_runs(slide, grid, 64))
    return {"name": slide.name, "lost": len(grid) - good, "tiles": len(asked), "max_times": max(asked.values())}


def planned(path: Path, reader: str, tiling: Tiling | None = None) -> dict[str, object]:
    """Where the plan of a slide puts its tiles, and what it says, by one of the readers."""
    with patch.object(extraction, "open_slide", partial(open_slide, readers=[reader])):
        plan = extraction.plan_slide(path, tiling or Tiling())
    return {
        "name": plan.slide.name,
        "coords": plan.grid.coords.tolist(),
        "levels": [(level.width, level.height, level.downsample) for level in plan.slide.levels],
        "warnings": list(plan.warnings),
    }
