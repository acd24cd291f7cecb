"""Regions out of TIFF tiles: the right px from anywhere, each tile decoded once, bad ones refused, whatever the threads do."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import plan_slide
from pathology.wsi.tile_store import Strip, TileStore

from tests.waiting import MAX_WAIT_SECONDS

LEVELS, TILES = [(1000, 700), (250, 175)], [(64, 48), (32, 32)]
PICTURES = [
    np.random.default_rng(level).integers(1, 256, (height, width, 3), np.uint8) for level, (width, height) in enumerate(LEVELS)
]


class Decoder:
    """Gives tiles of the pictures, and counts; ``bad`` ones have a reason and no px worth having."""

    def __init__(self, bad=()):
        self.bad, self.asked, self.calls = bad, Counter(), []

    def __call__(self, level, row, first, last):
        self.asked.update((level, row, column) for column in range(first, last))
        self.calls.append((level, row, first, last))
        across, down = TILES[level]
        bad = {column: f"tile {column} of row {row}" for column in range(first, last) if (level, row, column) in self.bad}
        return Strip(PICTURES[level][row * down : (row + 1) * down, first * across : last * across], bad)


def store(decoder, max_bytes=2**30):
    return TileStore(LEVELS, TILES, decoder, max_bytes)


RIM = 1200
PADDED = [np.pad(picture, ((RIM, RIM), (RIM, RIM), (0, 0)), constant_values=255) for picture in PICTURES]


def cut(level, x, y, width, height):
    """The same region out of the whole picture, white beyond it."""
    return PADDED[level][RIM + y : RIM + y + height, RIM + x : RIM + x + width]


@given(
    corners=st.lists(
        st.tuples(st.integers(0, 1), st.integers(-90, 1050), st.integers(-90, 750), st.integers(1, 300), st.integers(1, 200)),
        min_size=1,
        max_size=6,
    ),
    max_bytes=st.sampled_from([0, 30_000, 2**30]),
)
def test_a_region_is_what_the_slide_has_there(corners, max_bytes):
    kept = store(Decoder(), max_bytes)
    for level, x, y, width, height in corners:
        assert np.array_equal(kept.region(x, y, width, height, level), cut(level, x, y, width, height))


def test_every_tile_is_decoded_once_and_neighbours_together():
    decoder = Decoder()
    kept = store(decoder)
    for y in range(0, 700, 40):
        for x in (0, 333, 666):
            kept.region(x, y, 334, 40, 0)
    assert set(decoder.asked.values()) == {1} and len(decoder.asked) == 16 * 15
    assert len(decoder.calls) == 3 * 15


def test_what_was_kept_longest_goes_first():
    decoder = Decoder()
    row = 64 * 48 * 3 * 16
    kept = store(decoder, 2 * row)
    for y in (0, 48, 96, 48, 0):
        kept.region(0, y, 1000, 48, 0)
    assert {row: decoder.asked[0, row, 3] for row in range(3)} == {0: 2, 1: 1, 2: 1}
    kept.clear()
    kept.region(0, 48, 1000, 48, 0)
    assert decoder.asked[0, 1, 3] == 2


def test_a_bad_tile_is_refused_where_it_is_touched_only():
    decoder = Decoder(bad={(0, 2, 5)})
    kept = store(decoder)
    left, top = 5 * 64, 2 * 48
    for _ in range(2):
        for x, y in ((left - 10, top - 10), (left + 63, top + 47), (left - 100, top)):
            with pytest.raises(DataError, match="tile 5 of row 2"):
                kept.region(x, y, 200, 20, 0)
    for x, y, width, height in (
        (left - 200, top, 200, 48),
        (left + 64, top, 200, 48),
        (left, top - 48, 64, 48),
        (left, top + 48, 64, 48),
    ):
        assert np.array_equal(kept.region(x, y, width, height, 0), cut(0, x, y, width, height))
    assert set(decoder.asked.values()) == {1}


def test_many_threads_decode_nothing_twice():
    decoder, generator = Decoder(), np.random.default_rng(3)
    kept = store(decoder)
    wanted = [(int(x), int(y), 150, 90, 0) for x, y in generator.integers(0, (850, 610), (400, 2))]
    with ThreadPoolExecutor(8) as pool:
        regions = list(pool.map(lambda region: kept.region(*region), wanted))
    assert all(np.array_equal(pixels, cut(0, *region[:4])) for region, pixels in zip(wanted, regions, strict=True))
    assert set(decoder.asked.values()) == {1}


def test_who_waits_for_a_decoding_that_fails_is_told_and_the_next_may_try():
    begun, asked, decoder = threading.Event(), threading.Event(), Decoder()

    def failing(level, row, first, last):
        if not begun.is_set():
            begun.set()
            assert asked.wait(MAX_WAIT_SECONDS)
            raise MemoryError("no room")
        return decoder(level, row, first, last)

    kept = store(failing)
    wait = kept._wait

    def waiting_is_told(span):
        asked.set()
        return wait(span)

    kept._wait = waiting_is_told
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.region, 0, 0, 200, 90, 0)  # fails in its first row of tiles, and never comes to the second
        assert begun.wait(MAX_WAIT_SECONDS)
        second = pool.submit(kept.region, 64, 0, 100, 40, 0)
        for waiting in (first, second):
            with pytest.raises(MemoryError, match="no room"):
                waiting.result(MAX_WAIT_SECONDS)
    assert np.array_equal(kept.region(0, 0, 200, 90, 0), cut(0, 0, 0, 200, 90))


def test_of_the_level_that_tissue_was_looked_for_on_nothing_is_kept(svs):
    """Or a large slide would need that memory while its tissue is looked for, its peak."""
    slide = plan_slide(svs, Tiling()).slide
    try:
        assert (slide.name, slide.reader._store._bytes, len(slide.reader._store._kept)) == ("tiff", 0, 0)
        slide.read_region(0, 0, 64, 64, 0)
        assert slide.reader._store._bytes > 0
    finally:
        slide.close()
