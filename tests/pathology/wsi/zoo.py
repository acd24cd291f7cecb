"""Makes the slide zoo, and what ``extract_slide`` says of every file in it with each reader."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tifffile
from colour_encoder import ColourEncoder
from made_slides import table_entry, tile_bytes, write_kind
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi import extraction
from pathology.wsi.cucim_reader import load_cucim
from pathology.wsi.readers import READERS, open_slide

from demo.slides import Look, paint
from tests.made import REPOSITORY
from tests.waiting import MAX_WAIT_SECONDS

SIDE = 1200
SPOT = (850, 350)
"""Level-0 px in the tile that is damaged; away from the middle, where cuCIM is first compared with OpenSlide."""

SPOILT = ((768, 256), (1024, 512))
"""What that tile covers: x, y of its first px and of the first beyond it."""

VERDICTS = "verdicts.json"


@dataclass(frozen=True)
class Case:
    """How a file is made from the good slide of its kind, and what must come of it.

    ``words`` stand in the reason of an "empty" or a "failed" slide. Where the slide is "ok", the grid's tiles that touch the
    spoilt TIFF tile are ``spoilt``: "" none, "lost" and counted, or "glass" where they are as if the scanner had left it out.
    ``fault`` is a verdict that is wrong today, and why; ``faulty`` the readers that give it.
    """

    name: str
    kind: str
    make: Callable[[Path, np.ndarray], None]
    status: str
    words: str = ""
    spoilt: str = ""
    fault: str = ""
    faulty: tuple[str, ...] = READERS


def untouched(path, pixels):
    """As it is written."""


def cut(fraction):
    def make(path, pixels):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * fraction)])

    return make


def overwritten(value, page=0, keep=0.0):
    """One tile's bytes from the fraction ``keep`` on replaced by ``value``, or by noise."""

    def make(path, pixels):
        offset, length = tile_bytes(path, *(SPOT if page == 0 else (100, 100)), page)
        content = bytearray(path.read_bytes())
        start = offset + int(keep * length)
        rest = offset + length - start
        content[start : offset + length] = np.random.default_rng(0).bytes(rest) if value is None else bytes([value]) * rest
        path.write_bytes(content)

    return make


def unlisted(tag):
    """One tile's entry in the table ``tag`` set to 0."""

    def make(path, pixels):
        offset, size = table_entry(path, *SPOT, tag)
        content = bytearray(path.read_bytes())
        content[offset : offset + size] = bytes(size)
        path.write_bytes(content)

    return make


def every_tile_garbled(path, pixels):
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        for page in tiff.pages:
            for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
                content[offset + 2 : offset + length] = b"\x55" * (length - 2)
    path.write_bytes(content)


def stub(content):
    def make(path, pixels):
        path.write_bytes(content)

    return make


def without_scale(path, pixels):
    write_kind(path, pixels, "jpeg", mpp=None)


def glass(path, pixels):
    noise = np.random.default_rng(0).normal(0, 1.5, (600, 600, 1))
    write_kind(path, np.clip(243 + noise.repeat(3, axis=2), 0, 255).astype(np.uint8), "jpeg")


KINDS = {"jpeg": "svs", "jpeg2000": "svs", "deflate": "tif", "plain": "tif"}

NO_WARNING = "OpenSlide drops what OpenJPEG warns of"
UNPROVEN = "libtiff decodes the noise, and never looks at the checksum"
PACKED = ("jpeg", "jpeg2000", "deflate")

CASES = [
    *(Case(f"{kind}-good.{suffix}", kind, untouched, "ok") for kind, suffix in KINDS.items()),
    *(Case(f"{kind}-half.{suffix}", kind, cut(0.5), "failed", "truncated") for kind, suffix in KINDS.items()),
    *(Case(f"{kind}-99.{suffix}", kind, cut(0.99), "failed", "truncated") for kind, suffix in KINDS.items()),
    *(Case(f"{kind}-garbled.{KINDS[kind]}", kind, overwritten(0x55), "ok", spoilt="lost") for kind in PACKED),
    *(Case(f"{kind}-zeroed.{KINDS[kind]}", kind, overwritten(0), "ok", spoilt="lost") for kind in PACKED),
    *(Case(f"{kind}-coarse-garbled.{KINDS[kind]}", kind, overwritten(0x55, page=1), "ok") for kind in PACKED),
    *(Case(f"{kind}-absent.{suffix}", kind, unlisted("TileByteCounts"), "ok", spoilt="glass") for kind, suffix in KINDS.items()),
    *(Case(f"{kind}-nowhere.{suffix}", kind, unlisted("TileOffsets"), "failed", "lie outside") for kind, suffix in KINDS.items()),
    Case("jpeg-tail.svs", "jpeg", overwritten(None, keep=0.5), "ok", spoilt="lost"),
    Case("jpeg-end.svs", "jpeg", overwritten(0, keep=0.9), "ok", spoilt="lost"),
    Case("jpeg-all.svs", "jpeg", every_tile_garbled, "failed", "nothing of it can be read"),
    Case("jpeg2000-tail.svs", "jpeg2000", overwritten(None, keep=0.5), "ok", spoilt="lost", fault=NO_WARNING, faulty=READERS[1:]),
    Case("deflate-tail.tif", "deflate", overwritten(0x55, keep=0.5), "ok", spoilt="lost", fault=UNPROVEN, faulty=READERS[1:]),
    Case("plain-zeroed.tif", "plain", overwritten(0), "ok", spoilt="lost"),
    Case("empty.svs", "", stub(b""), "failed", "not a slide format"),
    Case("page.svs", "", stub(b"<html><body>404 Not Found</body></html>"), "failed", "not a slide format"),
    Case("page.tif", "", stub(b"<html><body>404 Not Found</body></html>"), "failed", "not a slide format"),
    Case("header.svs", "", stub(b"II*\0"), "failed", "without any image"),
    Case("header-zeros.svs", "", stub(b"II*\0" + bytes(508)), "failed", "without any image"),
    Case("header-first.svs", "jpeg", cut(0.002), "failed", "truncated"),
    Case("noise.svs", "", stub(np.random.default_rng(0).bytes(5000)), "failed", "not a slide format"),
    Case("no-scale.svs", "", without_scale, "failed", "column 'mpp'"),
    Case("no-scale.tif", "", without_scale, "failed", "column 'mpp'"),
    Case("glass.svs", "", glass, "empty", "at least 50% of tissue"),
]

REAL = {
    "CMU-1-Small-Region.svs": ("ok", ""),
    "corrupt-tile.svs": ("failed", "nothing of it can be read"),
    "not-a-tiff.svs": ("failed", "not a slide format"),
    "unopenable.tiff": ("failed", "compression: 52479"),
}
"""Of ../shared/data/slides: the status, and words of its reason."""


def real_files() -> list[Path]:
    """Those of the real files that are there."""
    folder = REPOSITORY.parent / "shared" / "data" / "slides"
    return [folder / name for name in REAL if (folder / name).is_file()]


def make_zoo(folder: Path) -> None:
    """Every case's file, the good slide of its kind taken and spoilt; and the verdicts on them and on the real files."""
    pixels = paint(Look(800, 0.7, 1, 1), np.random.default_rng(5))
    pixels = np.ascontiguousarray(pixels[200 : 200 + SIDE, 200 : 200 + SIDE])
    good = {}
    for case in CASES:
        path = folder / case.name
        if case.kind and case.kind not in good:
            write_kind(path, pixels, case.kind)
            good[case.kind] = path.read_bytes()
        if case.kind:
            path.write_bytes(good[case.kind])
        case.make(path, pixels)
    with get_context("spawn").Pool(1) as pool:  # a process that loads cuCIM first: this one may hold torch already
        paths = [*(folder / case.name for case in CASES), *real_files()]
        verdicts = pool.apply_async(verdicts_by_reader, [folder, paths]).get(MAX_WAIT_SECONDS)
    (folder / VERDICTS).write_text(json.dumps(verdicts))


def verdicts_by_reader(folder: Path, paths: list[Path]) -> dict[str, dict[str, dict] | None]:
    """By reader and name what came of each file; None for a reader that is not installed. Features lie in a folder for each."""
    verdicts = {}
    for reader in READERS:
        if reader == "cucim" and load_cucim() is None:
            verdicts[reader] = None
            continue
        extraction.open_slide = partial(open_slide, readers=[reader])
        (folder / reader).mkdir()
        verdicts[reader] = {path.name: verdict(path, folder / reader / f"{path.name}.h5") for path in paths}
    return verdicts


class Watching(ColourEncoder):
    """Remembers the fraction of black px in the blackest tile that it was shown."""

    blackest = 0.0

    def embed(self, tiles):
        self.blackest = max(self.blackest, float((tiles.max(axis=3) < 8).mean(axis=(1, 2)).max()))
        return super().embed(tiles)


def verdict(path: Path, target: Path) -> dict:
    """What came of one file."""
    watching = Watching()
    try:
        done = extraction.extract_slide(path, path.name, target, Tiling(), watching)
    except DataError as error:
        return {"status": "failed", "reason": str(error)}
    return {
        "status": "ok" if done.tiles else "empty", "reason": done.reason, "tiles": done.tiles,
        "failed": done.failed_tiles, "reader": done.reader, "blackest": watching.blackest,
    }  # fmt: skip
