"""Slides made for a purpose: pixels that say where they are, tissue beside glass, tiles that are damaged on demand."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import tifffile

from demo.slides import TILE, Look, paint, write_svs
from tests.pathology.wsi import cucim_views
from tests.waiting import MAX_WAIT_SECONDS


@pytest.fixture(scope="session")
def positions() -> np.ndarray:
    """Pixels that say where they are: red is x // 8, green y // 8, 2,000 × 1,600 px."""
    y, x = np.mgrid[:1600, :2000]
    return np.stack([x // 8, y // 8, np.full_like(x, 200)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def painted() -> np.ndarray:
    """Painted tissue on glass, the same in every session."""
    return paint(Look(800, 0.7, 1, 1), np.random.default_rng(5))


@pytest.fixture
def svs(tmp_path, painted) -> Path:
    """A good SVS at 0.5 µm/px."""
    path = tmp_path / "good.svs"
    write_svs(path, painted)
    return path


@pytest.fixture
def garbled(svs) -> tuple[Path, tuple[int, int]]:
    """An SVS with one garbled JPEG tile in the middle of its tissue, and where that tile lies in level-0 px."""
    with tifffile.TiffFile(svs) as file:
        page = file.pages[0]
        across = -(-page.imagewidth // TILE)
        index = (page.imagelength // TILE // 2) * across + across // 2
        offset, length = page.dataoffsets[index], page.databytecounts[index]
    content = bytearray(svs.read_bytes())
    content[offset + 2 : offset + length] = b"\x55" * (length - 2)
    svs.write_bytes(content)
    return svs, (index % across * TILE, index // across * TILE)


@pytest.fixture(scope="session")
def cucim_process():
    """Calls functions in a process that loads cuCIM first, as pytest's own may hold torch already; skipped without cuCIM."""
    with get_context("spawn").Pool(1) as pool:
        if not pool.apply_async(cucim_views.is_there).get(MAX_WAIT_SECONDS):
            pytest.skip("cuCIM is not installed here")
        yield lambda function, *arguments: pool.apply_async(function, arguments).get(MAX_WAIT_SECONDS)
