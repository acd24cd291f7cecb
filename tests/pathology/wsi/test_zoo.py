"""The slide zoo: what scanners, archives and broken downloads leave, and the verdict that each has to get from either reader.

A slide is "ok" with its damaged tiles counted, "empty", or "failed" in words; never is black or garbage embedded in silence.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_slides import table_entry, tile_bytes, write_kind
from pathology.contracts.errors import DataError
from pathology.models.tiny import make_tiny_encoder
from pathology.wsi.features import read_features
from pathology.wsi.readers import Level, open_slide
from pathology.wsi.thumbnail import read_thumbnail

SIDE = 1200
SPOT = (850, 350)
"""Level-0 px in the tile that is damaged; away from the middle, where cuCIM is first compared with OpenSlide."""

SPOILT = ((768, 256), (1024, 512))
"""What that tile covers: x, y of its first px and of the first beyond it."""

VERDICTS = """
import json, sys
from pathlib import Path

folder, encoder, reader = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if reader == "openslide":
    import torch  # with torch there first, cuCIM is left alone
from pathology.wsi.readers import load_cucim
if (load_cucim() is None) != (reader == "openslide"):
    print(json.dumps(None))
    sys.exit()
from pathology.contracts.errors import DataError
from pathology.contracts.settings_msi import Tiling
from pathology.models.encoder import load_encoder
from pathology.wsi.extraction import extract_slide


class Watching:
    '''The encoder, and the share of black px in the blackest tile that it was shown.'''

    def __init__(self, encoder):
        self.encoder, self.blackest = encoder, 0.0

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def embed(self, tiles):
        self.blackest = max(self.blackest, float((tiles.max(axis=3) < 8).mean(axis=(1, 2)).max()))
        return self.encoder.embed(tiles)


own = load_encoder(encoder)
(folder / reader).mkdir()
found = {}
for path in [Path(line) for line in (folder / f"{reader}.txt").read_text().splitlines()]:
    watching = Watching(own)
    try:
        done = extract_slide(path, path.name, folder / reader / f"{path.name}.h5", Tiling(), watching)
    except DataError as error:
        found[path.name] = {"status": "failed", "reason": str(error)}
        continue
    found[path.name] = {
        "status": "ok" if done.tiles else "empty", "reason": done.reason, "tiles": done.tiles,
        "failed": done.failed_tiles, "reader": done.reader, "blackest": watching.blackest,
    }
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Case:
    """How a file is made from the good slide of its kind, and what must come of it.

    ``words`` stand in the reason of an "empty" or a "failed" slide. Where the slide is "ok", the grid's tiles that touch the
    spoilt TIFF tile are ``spoilt``: "" none, "lost" and counted, or "glass" where they are as if the scanner had left it out.
    ``fault`` is a verdict that is wrong today, and why.
    """

    name: str
    kind: str
    make: Callable[[Path, np.ndarray], None]
    status: str
    words: str = ""
    spoilt: str = ""
    fault: str = ""


def untouched(path, pixels):
    """As it is written."""


def cut(share):
    def make(path, pixels):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return make


def overwritten(value, page=0, keep=0.0):
    """One tile's bytes from the share ``keep`` on replaced by ``value``, or by noise."""

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
        place, size = table_entry(path, *SPOT, tag)
        content = bytearray(path.read_bytes())
        content[place : place + size] = bytes(size)
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

NO_CHECKSUM = "its codec has no checksum and decodes the noise: only the manifest's md5 tells"
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
    Case("jpeg2000-tail.svs", "jpeg2000", overwritten(None, keep=0.5), "ok", spoilt="lost", fault=NO_CHECKSUM),
    Case("deflate-tail.tif", "deflate", overwritten(0x55, keep=0.5), "ok", spoilt="lost", fault=NO_CHECKSUM),
    Case("plain-zeroed.tif", "plain", overwritten(0), "ok", spoilt="lost"),
    Case("empty.svs", "", stub(b""), "failed", "no slide format"),
    Case("page.svs", "", stub(b"<html><body>404 Not Found</body></html>"), "failed", "no slide format"),
    Case("page.tif", "", stub(b"<html><body>404 Not Found</body></html>"), "failed", "no slide format"),
    Case("header.svs", "", stub(b"II*\0"), "failed", "without any image"),
    Case("header-zeros.svs", "", stub(b"II*\0" + bytes(508)), "failed", "without any image"),
    Case("header-first.svs", "jpeg", cut(0.002), "failed", "truncated"),
    Case("noise.svs", "", stub(np.random.default_rng(0).bytes(5000)), "failed", "no slide format"),
    Case("no-scale.svs", "", without_scale, "failed", "column 'mpp'"),
    Case("no-scale.tif", "", without_scale, "failed", "column 'mpp'"),
    Case("glass.svs", "", glass, "empty", "at least 50% of tissue"),
]

REAL = {
    "CMU-1-Small-Region.svs": ("ok", ""),
    "corrupt-tile.svs": ("failed", "nothing of it can be read"),
    "not-a-tiff.svs": ("failed", "no slide format"),
    "unopenable.tiff": ("failed", "compression: 52479"),
}
"""Of ../shared/data/slides: the status, and words of its reason."""


def marked(cases):
    """Cases as parameters; one with a fault has to fail until it is mended."""
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.xfail(strict=True, raises=AssertionError, reason=case.fault)] if case.fault else [],
        )
        for case in cases
    ]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory, painted):
    """Every case's file in a folder, the good slide of its kind taken and spoilt."""
    folder = tmp_path_factory.mktemp("zoo")
    pixels = np.ascontiguousarray(painted[200 : 200 + SIDE, 200 : 200 + SIDE])
    for case in CASES:
        path = folder / case.name
        if case.kind:
            write_kind(path, pixels, case.kind)
        case.make(path, pixels)
    return folder


@pytest.fixture(scope="module")
def verdicts(request, zoo, tmp_path_factory):
    """What ``extract_slide`` makes of every file, in a process of its own for each reader; see ``load_cucim``."""
    encoder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(encoder)
    paths = [zoo / case.name for case in CASES]
    with suppress(pytest.skip.Exception):
        paths += [request.getfixturevalue("shared_data") / "slides" / name for name in REAL]
    running = {}
    for name in ("cucim", "openslide"):
        (zoo / f"{name}.txt").write_text("\n".join(map(str, paths)))
        command = [sys.executable, "-c", VERDICTS, str(zoo), str(encoder), name]
        running[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    found = {}
    try:
        for name, process in running.items():
            out = process.communicate(timeout=60)[0]
            assert process.returncode == 0
            found[name] = json.loads(out.splitlines()[-1])
    finally:
        for process in running.values():
            process.kill()
    return found


@pytest.fixture(params=["cucim", "openslide"])
def reader(request, verdicts):
    """The reader's name."""
    if verdicts[request.param] is None:
        pytest.skip(f"{request.param} is not installed here")
    return request.param


@pytest.mark.parametrize("case", marked(CASES))
def test_every_animal_gets_its_verdict(case, reader, verdicts, zoo):
    verdict = verdicts[reader][case.name]
    assert verdict["status"] == case.status, verdict
    assert case.words in verdict["reason"]
    assert (zoo / reader / f"{case.name}.h5").exists() == (case.status == "ok")
    if case.status == "ok":
        assert verdict["tiles"] >= 8 and verdict["blackest"] < 0.01
        assert (verdict["failed"] > 0) == (case.spoilt == "lost")


@pytest.mark.parametrize("case", marked(case for case in CASES if case.status == "ok"))
def test_what_is_embedded_is_what_the_whole_slide_shows_there(case, reader, verdicts, zoo):
    verdict = verdicts[reader][case.name]
    whole, own = (
        {tuple(corner): feature.astype(float) for corner, feature in zip(read.coords.tolist(), read.features, strict=True)}
        for name in (f"{case.kind}-good.{KINDS[case.kind]}", case.name)
        for read in [read_features(zoo / reader / f"{name}.h5", name)]
    )
    touched = {
        corner
        for corner in whole
        if all(first - 224 < place < beyond for place, first, beyond in zip(corner, *SPOILT, strict=True))
    }
    assert len(touched) >= 3
    compared = (whole.keys() & own.keys()) - (touched if case.spoilt == "glass" else set())
    assert len(compared) >= 8
    assert max(np.abs(whole[corner] - own[corner]).max() for corner in compared) < 0.02
    if case.spoilt == "lost":
        assert whole.keys() - own.keys() == touched
        assert len(touched) == verdict["failed"]


def test_the_good_slides_are_read_by_the_reader_that_is_tried(reader, verdicts):
    read = {kind: verdicts[reader][f"{kind}-good.{suffix}"]["reader"] for kind, suffix in KINDS.items()}
    assert read == dict.fromkeys(KINDS, "openslide") | {"jpeg": reader}


@pytest.mark.parametrize("name", REAL)
def test_real_files_get_their_verdict(name, shared_data, reader, verdicts):
    status, words = REAL[name]
    verdict = verdicts[reader][name]
    assert verdict["status"] == status, verdict
    assert words in verdict["reason"]
    if status == "ok":
        assert verdict["tiles"] > 40 and (verdict["failed"], verdict["blackest"] < 0.01) == (0, True)


AGAIN = """
import signal, sys
from pathlib import Path
from pathology.contracts.errors import DataError
from pathology.wsi.readers import open_slide

slide = open_slide(Path(sys.argv[1]))
print(slide.name, flush=True)
signal.alarm(4)  # its default ends the process, whatever holds a lock
for _ in range(2):
    try:
        slide.read_region(*map(int, sys.argv[2:]), 64, 64, 0)
    except DataError:
        print("refused")
"""


@pytest.mark.parametrize("name", ["deflate-zeroed.tif", "jpeg2000-zeroed.svs"])
def test_a_tile_that_cannot_be_decoded_can_be_asked_for_again(name, zoo, verdicts):
    if verdicts["cucim"] is None:
        pytest.skip("cuCIM is not installed here")
    command = [sys.executable, "-c", AGAIN, str(zoo / name), *map(str, SPOT)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["refused", "refused"])


def test_a_large_slide_of_which_nothing_can_be_read_is_given_up_soon():
    class Unreadable:
        name, mpp, levels, asked = "none", None, (Level(40_000, 40_000, 1.0),), 0

        def read_region(self, *place):
            self.asked += 1
            if self.asked > 20_000:
                pytest.fail("20,000 regions were asked for in vain")
            raise DataError("no.svs: the region cannot be decoded")

        def close(self):
            """Nothing is open."""

    with pytest.raises(DataError, match="nothing of it can be read"):
        read_thumbnail(Unreadable(), 8)


@pytest.mark.parametrize("suffix", ["svs", "mrxs"])
def test_a_slide_that_may_not_be_read_is_a_failed_slide(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"closed.{suffix}"
    path.write_bytes(b"II*\0")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything: the refusal is played
        opened = Path.open

        def refused(self, *arguments, **options):
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return opened(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataError, match=r"closed\..*ermission"):
        open_slide(path)


def test_a_folder_and_a_missing_file_are_no_slides(tmp_path):
    (tmp_path / "folder.svs").mkdir()
    for name in ("folder.svs", "missing.svs"):
        with pytest.raises(DataError, match=f"{name}: there is no such slide"):
            open_slide(tmp_path / name)
