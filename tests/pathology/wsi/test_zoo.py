"""The slide zoo: what scanners, archives and broken downloads leave, and the verdict that each has to get from every reader.

A slide is "ok" with its damaged tiles counted, "empty", or "failed" in words; never is black or garbage embedded in silence.
"""

import importlib.util
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.wsi.features import read_features
from pathology.wsi.reader import Level
from pathology.wsi.readers import READERS, open_slide
from pathology.wsi.thumbnail import read_thumbnail

from tests.made import made_once
from tests.pathology.wsi.zoo import CASES, KINDS, REAL, SPOILT, SPOT, VERDICTS, make_zoo, real_files
from tests.waiting import MAX_WAIT_SECONDS


def each_reader(cases):
    """Cases and readers as parameters; a reader with a fault has to fail until it is fixed."""
    return pytest.mark.parametrize(
        ("case", "reader"),
        [
            pytest.param(
                case,
                reader,
                id=f"{reader}-{case.name}",
                marks=[pytest.mark.xfail(strict=True, raises=AssertionError, reason=case.fault)]
                if case.fault and reader in case.faulty
                else [],
            )
            for case in cases
            for reader in READERS
        ],
        indirect=["reader"],
    )


@pytest.fixture(scope="module")
def zoo():
    """The folder with every case's file, and by reader the features of those that have any."""
    real = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in real_files()]
    return made_once("zoo", make_zoo, [importlib.util.find_spec("cucim") is not None, real])


@pytest.fixture(scope="module")
def verdicts(zoo):
    """What ``extract_slide`` made of every file, by reader and name."""
    return json.loads((zoo / VERDICTS).read_text())


@pytest.fixture(params=READERS)
def reader(request, verdicts):
    """The reader's name."""
    if verdicts[request.param] is None:
        pytest.skip(f"{request.param} is not installed here")
    return request.param


@each_reader(CASES)
def test_every_animal_gets_its_verdict(case, reader, verdicts, zoo):
    verdict = verdicts[reader][case.name]
    assert verdict["status"] == case.status, verdict
    assert case.words in verdict["reason"]
    assert (zoo / reader / f"{case.name}.h5").exists() == (case.status == "ok")
    if case.status == "ok":
        assert verdict["tiles"] >= 8 and verdict["blackest"] < 0.01
        assert (verdict["failed"] > 0) == (case.spoilt == "lost")


@each_reader([case for case in CASES if case.status == "ok"])
def test_what_is_embedded_is_what_the_whole_slide_shows_there(case, reader, verdicts, zoo):
    verdict = verdicts[reader][case.name]
    whole, damaged = (
        {tuple(corner): feature.astype(float) for corner, feature in zip(read.coords.tolist(), read.features, strict=True)}
        for name in (f"{case.kind}-good.{KINDS[case.kind]}", case.name)
        for read in [read_features(zoo / reader / f"{name}.h5", name)]
    )
    touched = {
        corner
        for corner in whole
        if all(first - 224 < value < beyond for value, first, beyond in zip(corner, *SPOILT, strict=True))
    }
    assert len(touched) >= 3
    compared = (whole.keys() & damaged.keys()) - (touched if case.spoilt == "glass" else set())
    assert len(compared) >= 8
    assert max(np.abs(whole[corner] - damaged[corner]).max() for corner in compared) < 0.02
    if case.spoilt == "lost":
        assert whole.keys() - damaged.keys() == touched
        assert len(touched) == verdict["failed"]


def test_the_good_slides_are_read_by_the_reader_that_is_tried(reader, verdicts):
    read = {kind: verdicts[reader][f"{kind}-good.{suffix}"]["reader"] for kind, suffix in KINDS.items()}
    assert read == dict.fromkeys(KINDS, "tiff" if reader == "tiff" else "openslide") | {"jpeg": reader}


@pytest.mark.parametrize("case", [case for case in CASES if case.status == "ok"], ids=lambda case: case.name)
def test_what_the_tiff_reader_shows_of_a_slide_openslide_shows_too(case, zoo):
    ours, judge = (open_slide(zoo / case.name, readers=[name]) for name in ("tiff", "openslide"))
    assert ours.name == "tiff"
    shown, refused = 0, []
    for number, level in enumerate(judge.levels):
        for y, x in product(range(0, level.height, 256), range(0, level.width, 256)):
            tile = (x, y, min(256, level.width - x), min(256, level.height - y), number)
            try:
                pixels = ours.read_region(*tile)
            except DataError:
                refused.append(tile[:2])
                continue
            shown += 1
            assert np.array_equal(pixels, judge.read_region(*tile)), tile
    spoilt = case.spoilt == "lost" and case.kind != "plain"  # zeros of a plain tile are found on the grid
    assert shown >= 25 and refused in ([(768, 256)] if spoilt else [], [(0, 0)] if "coarse" in case.name else [])
    ours.close()
    judge.close()


@pytest.mark.parametrize("name", REAL)
def test_real_files_get_their_verdict(name, shared_data, reader, verdicts):
    status, words = REAL[name]
    verdict = verdicts[reader][name]
    assert verdict["status"] == status, verdict
    assert words in verdict["reason"]
    if status == "ok":
        assert verdict["tiles"] > 40 and (verdict["failed"], verdict["blackest"] < 0.01) == (0, True)


AGAIN = """
import sys
from pathlib import Path
from pathology.contracts.errors import DataError
from pathology.wsi.readers import open_slide

x, y, reader, *paths = sys.argv[1:]
for path in map(Path, paths):
    slide = open_slide(path, readers=[reader])
    for _ in range(2):
        try:
            slide.read_region(int(x), int(y), 64, 64, 0)
        except DataError:
            print(path.name, "refused")
"""


def test_a_tile_that_cannot_be_decoded_can_be_asked_for_again(zoo, reader):
    names = ["deflate-zeroed.tif", "jpeg2000-zeroed.svs"]
    command = [sys.executable, "-c", AGAIN, *map(str, SPOT), reader, *(str(zoo / name) for name in names)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=MAX_WAIT_SECONDS, check=True)
    assert done.stdout.splitlines() == [f"{name} refused" for name in names for _ in range(2)]


def test_a_large_slide_of_which_nothing_can_be_read_is_given_up_soon():
    class Unreadable:
        name, mpp, levels, asked = "none", None, (Level(40_000, 40_000, 1.0),), 0
        keeps_tiles = False

        def read_region(self, *region):
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


def test_a_folder_and_a_missing_file_are_not_slides(tmp_path):
    (tmp_path / "folder.svs").mkdir()
    for name in ("folder.svs", "missing.svs"):
        with pytest.raises(DataError, match=f"{name}: there is no such slide"):
            open_slide(tmp_path / name)
