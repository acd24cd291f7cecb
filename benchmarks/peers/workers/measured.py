"""What every worker does, whichever tool it reads with. Standard library and numpy alone: it runs in the peers' environments."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

THREADS = 2
MPP, SIDE = 0.5, 224
"""Of the encoder's input: (SIDE, SIDE, 3) uint8 at MPP µm/px."""

Tiles = Iterator[tuple[int, int, np.ndarray]]
"""Level-0 x and y of a tile, and its pixels."""


@dataclass(frozen=True)
class Tool:
    """How a tool reads: ``configurations`` to choose the best of, ``plan`` finds tissue and grid of a slide and gives what reads its
    tiles in a configuration, ``write`` leaves in a folder what the tool leaves of a slide."""

    packages: tuple[str, ...]
    configurations: tuple[str, ...]
    plan: Callable[[Path, str], Callable[[], Tiles]]
    write: Callable[[Path, Path], None]
    torch: bool = False
    forget: Callable[[], None] = lambda: None
    """Empty what the tool's libraries keep of a slide that was read before in this process."""


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mb() -> float:
    """Not getrusage's, which begins with that of the process that started this one."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def _checked(tiles: Tiles) -> int:
    count = 0
    for _, _, tile in tiles:
        if tile.shape[:2] != (SIDE, SIDE):
            raise ValueError(f"a tile of {tile.shape}, not ({SIDE}, {SIDE}, 3)")
        count += 1
    return count


def _timed(tool: Tool, slide: Path, configuration: str, takes: int) -> tuple[int, list[float]]:
    read = tool.plan(slide, configuration)
    count, seconds = 0, []
    for _ in range(takes):
        tool.forget()
        since = time.perf_counter()
        count = _checked(read())
        seconds.append(time.perf_counter() - since)
    return count, seconds


def probe(tool: Tool, slide: str) -> dict[str, object]:
    """The configurations' tiles/s, under one name in the answer."""
    return {"configurations": _probed(tool, slide)}


def _probed(tool: Tool, slide: str) -> dict[str, object]:
    """Tiles/s of each configuration, or in a line why it does not read this slide."""
    found: dict[str, object] = {}
    if len(tool.configurations) == 1:
        return {tool.configurations[0]: 0.0}
    for configuration in tool.configurations:
        try:
            count, seconds = _timed(tool, Path(slide), configuration, 1)
            found[configuration] = count / seconds[0]
        except Exception as error:  # whatever the tool raises: the configuration is named with it, and the next one tried
            found[configuration] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return found


def speed(tool: Tool, warm: str, slide: str, configuration: str, takes: str) -> dict[str, object]:
    """Tiles and seconds of each take, after a small slide that brings the libraries into memory."""
    _timed(tool, Path(warm), configuration, 1)
    count, seconds = _timed(tool, Path(slide), configuration, int(takes))
    return {"tiles": count, "seconds": seconds}


def pixels(tool: Tool, slide: str, configuration: str, target: str) -> dict[str, object]:
    """Write a hash of each tile's pixels by its place; a tile that a tool leaves out is not there."""
    hashes = {f"{x},{y}": hashlib.sha256(tile.tobytes()).hexdigest() for x, y, tile in tool.plan(Path(slide), configuration)()}
    Path(target).write_text(json.dumps(hashes))
    return {"tiles": len(hashes)}


def write(tool: Tool, slide: str, folder: str) -> dict[str, object]:
    """Leave in ``folder`` what the tool leaves; a line says when that begins, so that it can be killed from there on."""
    print("begin", flush=True)
    since = time.perf_counter()
    tool.write(Path(slide), Path(folder))
    return {"seconds": time.perf_counter() - since}


def main(tool: Tool) -> None:
    """Do what the command line says and print the answer, with the process's peak memory less what importing torch took."""
    torch_mb = 0.0
    if tool.torch:
        before = _resident_mb()
        import torch

        torch.set_num_threads(1)
        torch_mb = _resident_mb() - before
    name, *arguments = sys.argv[1:]
    answer = {"probe": probe, "speed": speed, "pixels": pixels, "write": write}[name](tool, *arguments)
    versions = {package: metadata.version(package) for package in tool.packages}
    print(json.dumps({**answer, "peak_mb": _peak_mb() - torch_mb, "torch_mb": torch_mb, "versions": versions}))
