"""A slide with tiles that a strict decoder complains of, and what a tool makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
import simplejpeg
import tifffile

from benchmarks.peers.environments import Worker
from benchmarks.slides import TILE, Compression

DAMAGED_TILES = 24
SEED = 18


def _mutants(content: bytes, generator: np.random.Generator) -> Iterator[bytes]:
    """The same length with 64 bytes of its header noise, 512 bytes zeroed, 512 of noise, or its last half zeroed."""
    yield content[:4] + generator.integers(0, 256, 64, np.uint8).tobytes() + content[68:]
    start = int(generator.integers(len(content) // 4, max(len(content) // 4 + 1, len(content) - 520)))
    for filling in (bytes(512), generator.integers(0, 256, 512, np.uint8).tobytes()):
        yield (content[:start] + filling + content[start + 512 :])[: len(content)]
    half = len(content) // 2
    yield content[:half] + bytes(len(content) - half)


def _announced(path: Path, number: int, across: int, content: bytes, compression: Compression) -> bool:
    """Whether libjpeg warns of a tile (simplejpeg, strict), or OpenJPEG refuses it (through OpenSlide, which opens ``path``)."""
    if compression == "jpeg":
        try:
            simplejpeg.decode_jpeg(content, strict=True)
        except ValueError:
            return True
        return False
    with openslide.OpenSlide(path) as slide:
        try:
            slide.read_region((number % across * TILE, number // across * TILE), 0, (TILE, TILE))
        except openslide.OpenSlideError:
            return True
    return False


def damage_announced(path: Path, compression: Compression) -> int:
    """Damage tiles of level 0 of the slide at ``path``, spread over it; how many a strict decoder complains of. The rest stay whole."""
    generator = np.random.default_rng(SEED)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        across = -(-page.imagewidth // TILE)
        offsets, lengths = list(page.dataoffsets), list(page.databytecounts)
    rows = len(offsets) // across
    inside = [y * across + x for y in range(rows // 4, 3 * rows // 4, 3) for x in range(across // 4, 3 * across // 4, 3)]
    chosen = generator.permutation(inside)[:DAMAGED_TILES].tolist()
    count = 0
    with path.open("r+b") as file:
        for position, number in enumerate(chosen):
            file.seek(offsets[number])
            clean = file.read(lengths[number])
            kinds = list(_mutants(clean, generator))
            mutant = kinds[position % len(kinds)]
            _put(file, offsets[number], mutant)
            if _announced(path, number, across, mutant, compression):
                count += 1
            else:
                _put(file, offsets[number], clean)
    return count


def _put(file, offset: int, content: bytes) -> None:  # type: ignore[no-untyped-def]
    file.seek(offset)
    file.write(content)
    file.flush()


def judge(clean: dict[str, str], damaged: dict[str, str]) -> dict[str, float]:
    """Hashes by place of a clean and of a damaged slide's tiles: how many were used although their pixels changed, how many were
    left out."""
    used = sum(damaged[place] != pixels for place, pixels in clean.items() if place in damaged)
    return {"damage_used": used, "damage_left_out": sum(place not in damaged for place in clean)}


def used_although_announced(
    worker: Worker, clean: Path, damaged: Path, configuration: str, folder: Path, seconds: float
) -> dict[str, float] | str:
    """What a tool makes of the damaged slide; in a line, where it does not read the clean one.

    ``damage_used``: tiles given with other pixels than the clean slide's and no error. ``damage_left_out``: tiles not given, all of
    them where the tool gives up the slide, and ``damage_slide_refused`` says that.
    """
    hashes = []
    for path in (clean, damaged):
        target = folder / f"{worker.name}-{path.stem}.json"
        answer = worker.ask("pixels", str(path), configuration, str(target), seconds=seconds)
        if "error" in answer and path == clean:
            return str(answer["error"])
        hashes.append({} if "error" in answer else json.loads(target.read_text()))
    return {**judge(*hashes), "damage_slide_refused": int(not hashes[1])}
