"""What damage inside a TIFF tile becomes: ``python -m benchmarks.damage``.

For each codec a small slide is made, and 400 mutants of it, each damaged in one tile: a flipped bit, another byte, 512 bytes of zeros
or of noise, the end of the tile cut off (zeros in its place), or two blocks of 256 bytes swapped. Each mutant is read whole, level 0
tile by tile, by a child process that has a time limit; the generator and its seeds are below, so that any mutant can be reproduced.

Of the mutants whose px differ from the clean slide's, were they used:
``unheard_share_CODEC``: the decoder warned or failed, or a checksum failed, and the tile was used all the same. Has to be 0.
``undetectable_share_CODEC`` and ``…_CODEC_KIND``: nobody complained. Only md5 or etag of the file tells those.
``damage_crashes``: children that died or did not end in time. Has to be 0.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import imagecodecs
import numpy as np
import simplejpeg
import tifffile
import typer
from pathology.contracts.errors import DataError
from pathology.wsi.readers import READERS, open_slide

from benchmarks.measure import print_figures
from benchmarks.slides import texture

SIDE, TILE = 768, 256
CODECS: dict[str, dict[str, Any]] = {
    "jpeg": {"compression": "jpeg", "photometric": "rgb", "compressionargs": {"level": 80, "subsampling": (2, 2)}},
    "deflate": {"compression": "zlib", "photometric": "rgb"},
    "jpeg2000": {
        "compression": 33005,
        "photometric": "rgb",
        "compressionargs": {"level": 35, "codecformat": "j2k", "mct": False},
    },
}
LIMIT_SECONDS = 60.0
"""For one mutant to be read; most take some hundredths."""

LONG = 512
BLOCK = 256


def bit(tile: bytearray, generator: np.random.Generator) -> None:
    """One bit flipped."""
    tile[int(generator.integers(len(tile)))] ^= 1 << int(generator.integers(8))


def byte(tile: bytearray, generator: np.random.Generator) -> None:
    """One byte replaced by another."""
    tile[int(generator.integers(len(tile)))] ^= int(generator.integers(1, 256))


def zeros(tile: bytearray, generator: np.random.Generator) -> None:
    """512 bytes of zeros."""
    at = int(generator.integers(max(1, len(tile) - LONG)))
    tile[at : at + LONG] = bytes(len(tile[at : at + LONG]))


def noise(tile: bytearray, generator: np.random.Generator) -> None:
    """512 bytes of noise."""
    at = int(generator.integers(max(1, len(tile) - LONG)))
    tile[at : at + LONG] = generator.bytes(len(tile[at : at + LONG]))


def cut(tile: bytearray, generator: np.random.Generator) -> None:
    """Zeros from somewhere to the end."""
    at = int(generator.integers(len(tile)))
    tile[at:] = bytes(len(tile) - at)


def swap(tile: bytearray, generator: np.random.Generator) -> None:
    """Two blocks of 256 bytes in each other's place."""
    blocks = len(tile) // BLOCK
    first, second = (int(number) * BLOCK for number in generator.choice(blocks, 2, replace=False))
    a, b = tile[first : first + BLOCK], tile[second : second + BLOCK]
    tile[first : first + BLOCK], tile[second : second + BLOCK] = b, a


KINDS: dict[str, Callable[[bytearray, np.random.Generator], None]] = {
    "bit": bit, "byte": byte, "zeros": zeros, "noise": noise, "cut": cut, "swap": swap,
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What became of a mutant: whether its px ``differ``, its damaged tile was ``used``, and a decoder or checksum ``complained``."""

    differ: bool
    used: bool
    complained: bool


@dataclass(frozen=True)
class Slide:
    """A clean slide: its content, its px, where its tiles lie, each (offset, bytes), and the JPEG tables that they share."""

    codec: str
    content: bytes
    pixels: np.ndarray
    tiles: list[tuple[int, int]]
    tables: bytes


def make_slide(path: Path, codec: str) -> Slide:
    """Write an Aperio SVS of 3 × 3 tiles."""
    text = f"Aperio Image Library v12.0.15 \r\n{SIDE}x{SIDE}|AppMag = 20|MPP = 0.5"
    with tifffile.TiffWriter(path) as svs:
        svs.write(texture(SIDE, 1), tile=(TILE, TILE), description=text, metadata=None, software=False, **CODECS[codec])
    slide = open_slide(path, readers=["openslide"])
    pixels = slide.read_region(0, 0, SIDE, SIDE, 0)
    slide.close()
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        return Slide(codec, path.read_bytes(), pixels, places, page.jpegtables or b"")


def mutant(slide: Slide, kind: str, number: int) -> tuple[bytes, int]:
    """The file's content with one tile damaged, and that tile's number."""
    generator = np.random.default_rng([sorted(CODECS).index(slide.codec), list(KINDS).index(kind), number])
    damaged = int(generator.integers(len(slide.tiles)))
    offset, length = slide.tiles[damaged]
    tile = bytearray(slide.content[offset : offset + length])
    KINDS[kind](tile, generator)
    return slide.content[:offset] + bytes(tile) + slide.content[offset + length :], damaged


def look(slide: Slide, path: Path, damaged: int) -> Seen:
    """Read the mutant tile by tile, and ask the codec's own library, apart from our readers, whether it complains."""
    offset, length = slide.tiles[damaged]
    complained = complains(slide.codec, path.read_bytes()[offset : offset + length], slide)
    reader = open_slide(path, readers=READERS)
    differ = False
    used = True
    for number in range(len(slide.tiles)):
        y, x = (number // (SIDE // TILE) * TILE, number % (SIDE // TILE) * TILE)
        try:
            pixels = reader.read_region(x, y, TILE, TILE, 0)
        except DataError:
            used = used and number != damaged
            continue
        differ = differ or not np.array_equal(pixels, slide.pixels[y : y + TILE, x : x + TILE])
    reader.close()
    return Seen(differ, used, complained)


def complains(codec: str, tile: bytes, slide: Slide) -> bool:
    """Whether the library of the codec says that a tile is damaged, with its warnings on and its checksum proven."""
    try:
        if codec == "deflate":
            return len(imagecodecs.zlib_decode(tile)) != TILE * TILE * 3
        if codec == "jpeg":
            simplejpeg.decode_jpeg(slide.tables[:-2] + tile[2:] if slide.tables else tile, strict=True)
            return False
        return warned_of_jpeg2000(tile)
    except (RuntimeError, ValueError):
        return True


def warned_of_jpeg2000(tile: bytes) -> bool:
    """Whether imagecodecs logs anything, or raises."""

    class Heard(logging.Handler):
        lines = 0

        def emit(self, record: logging.LogRecord) -> None:
            self.lines += 1

    logger, heard = logging.getLogger("imagecodecs"), Heard()
    logger.addHandler(heard)
    try:
        imagecodecs.jpeg2k_decode(tile, verbose=2, numthreads=1)
    finally:
        logger.removeHandler(heard)
    return heard.lines > 0


def _child(slide: Slide, folder: str, pipe: Connection) -> None:
    while True:
        kind, number = pipe.recv()
        content, damaged = mutant(slide, kind, number)
        path = Path(folder) / "mutant.svs"
        path.write_bytes(content)
        pipe.send(look(slide, path, damaged))


def watched(slide: Slide, mutants: int, folder: str) -> Iterator[tuple[str, Seen | None]]:
    """Every mutant's kind, and what became of it: None where the child that read it died or did not end in time."""
    context = get_context("spawn")
    child = pipe = None
    for number in range(mutants):
        kind = list(KINDS)[number % len(KINDS)]
        if child is None or pipe is None:
            pipe, theirs = context.Pipe()
            child = context.Process(target=partial(_child, slide, folder, theirs), daemon=True)
            child.start()
            theirs.close()
        try:
            pipe.send((kind, number))
            seen = pipe.recv() if pipe.poll(LIMIT_SECONDS) else None
        except (EOFError, OSError):
            seen = None
        yield kind, seen
        if seen is None:
            child.kill()
            child.join()
            child = None
    if child is not None:
        child.kill()
        child.join()


def figures_of(codec: str, results: list[tuple[str, Seen | None]]) -> dict[str, float]:
    """The shares of one codec, of the mutants whose damaged tile was used with other px, or was left out."""
    counted = [(kind, seen) for kind, seen in results if seen is not None and (seen.differ or not seen.used)]
    of, unheard, silent = Counter(kind for kind, _ in counted), 0, Counter[str]()
    for kind, seen in counted:
        unheard += seen.differ and seen.complained
        silent[kind] += seen.differ and not seen.complained
    shares = {f"undetectable_share_{codec}_{kind}": silent[kind] / of[kind] for kind in KINDS if of[kind]}
    total = max(1, len(counted))
    return {
        f"mutants_{codec}": len(counted),
        f"unheard_share_{codec}": unheard / total,
        f"undetectable_share_{codec}": silent.total() / total,
        **shares,
    }


def damage(
    mutants: Annotated[int, typer.Option("--mutants", help="Mutants of each codec.", min=1)] = 400,
) -> None:
    """Damage slides in every way, read them, and count what was used though somebody complained."""
    figures: dict[str, float] = {}
    crashes = 0
    with tempfile.TemporaryDirectory() as folder:
        for codec in CODECS:
            slide = make_slide(Path(folder) / f"{codec}.svs", codec)
            results = list(watched(slide, mutants, folder))
            crashes += sum(seen is None for _, seen in results)
            figures |= figures_of(codec, results)
    print_figures({"mutants": mutants, **figures, "damage_crashes": crashes})


if __name__ == "__main__":
    typer.run(damage)
