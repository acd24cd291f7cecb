"""Our own reader and files, through the functions that the job calls."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from measured import Tiles, Tool, main
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import extract_slide, plan_slide
from pathology.wsi.tiles import read_runs

AHEAD = 256


def plan(path: Path, configuration: str) -> Callable[[], Tiles]:
    """The grid that the job lays; tiles that cannot be decoded are left out, as the job does."""
    planned = plan_slide(path, Tiling())

    def read() -> Tiles:
        for run in read_runs(planned.slide, planned.grid, AHEAD):
            for index, tile, good in zip(run.indices, run.tiles, run.good, strict=True):
                if good:
                    x, y = planned.grid.coords[index]
                    yield int(x), int(y), tile

    return read


def write(path: Path, folder: Path) -> None:
    """A feature file, by the tiny encoder."""
    plan_slide(path, Tiling()).slide.close()  # a reader's library that wants to be there before torch
    from pathology.encoders.encoder import load_encoder
    from pathology.encoders.tiny import make_tiny_encoder

    with tempfile.TemporaryDirectory() as models:
        make_tiny_encoder(Path(models))
        extract_slide(path, path.stem, folder / f"{path.stem}.h5", Tiling(), load_encoder(Path(models), precision="float32"))


if __name__ == "__main__":
    main(Tool((), ("",), plan, write))
