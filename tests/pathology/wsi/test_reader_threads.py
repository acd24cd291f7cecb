"""As many threads as keep the encoder from waiting, and the same bytes whatever their number."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import extract_slide
from pathology.wsi.grid import Grid
from pathology.wsi.reader_threads import ReaderThreads, ceiling
from pathology.wsi.tiles import read_runs

from tests.waiting import MAX_WAIT_SECONDS, until


class Host:
    """A host by its figures: one thread takes ``need`` times as long for a batch's tiles as the encoder for the batch."""

    def __init__(self, most):
        self.now, self.lines = 0.0, []
        self.threads = ReaderThreads(most, say=self.lines.append, clock=lambda: self.now)

    def work(self, need, batches=60, seconds=1.0):
        """So many batches later: the number of threads after each."""
        seen = []
        for _ in range(batches):
            with self.threads.turn(threading.Event()):
                self.now += need * seconds
            self.threads.told(max(0.0, need / self.threads.number - 1) * seconds, seconds)
            seen.append(self.threads.number)
        return seen


@pytest.mark.parametrize(("need", "expected"), [(0.3, 1), (0.9, 2), (1.9, 2), (2.6, 3), (6.0, 6), (9.5, 10), (50.0, 15)])
def test_the_number_follows_the_need_and_stays(need, expected):
    seen = Host(15).work(need)
    assert seen[-1] == pytest.approx(expected, abs=1) and 1 <= seen[-1] <= 15
    assert len(set(seen[30:])) == 1, "it does not swing"
    assert min(seen[-1], 15) >= min(need * 0.94, 15), "the encoder is kept from waiting"


def test_a_need_that_changes_is_followed_both_ways_and_every_change_is_said():
    host = Host(8)
    up, down = host.work(5.0)[-1], host.work(0.5)[-1]
    assert up >= 5 and down == 1
    assert host.lines[0] == (
        "reading with 4 threads, before with 2: the encoder waited 60% of 10.0 s, and 2.0 threads were busy (at most 8)"
    )
    assert host.threads.summary() == f"1 to {up} of at most 8 reader threads"


def test_where_all_threads_are_too_few_it_is_said_once():
    host = Host(3)
    assert max(host.work(9.0)) == 3
    assert [line for line in host.lines if "more cores" in line] == [host.lines[-1]]
    assert "the encoder waited 67% of" in host.lines[-1]


def test_nothing_is_decided_by_a_moment():
    for batches, waited in ((3, 10.0), (20, 0.05)):  # too few batches, too few seconds
        host = Host(8)
        for _ in range(batches):
            host.threads.told(waited, 0.05)
        assert host.threads.number == 2 and not host.lines


def test_the_ceiling_is_the_cores_but_one_unless_somebody_says():
    assert [ceiling(cores) for cores in (1, 2, 4, 96)] == [1, 1, 3, 95]
    assert ceiling(4, wanted=12) == 12


class Fixed(ReaderThreads):
    """A number that nothing changes but its test."""

    def __init__(self, number, most=8):
        super().__init__(most)
        self.number = number

    def told(self, waited, worked):
        """Nothing."""


def test_the_bytes_of_the_feature_file_do_not_depend_on_the_threads(svs, tmp_path):
    contents, batches = [], []
    for name, numbers in {"1": [1], "2": [2], "4": [4], "changing": [1, 4, 2, 8, 3]}.items():
        threads, seen = Fixed(numbers[0]), []

        class Told(ColourEncoder):
            def embed(self, tiles, seen=seen, threads=threads, numbers=numbers):
                threads.change(numbers[len(seen) % len(numbers)])
                seen.append(tiles.tobytes())
                return super().embed(tiles)

        target = tmp_path / f"{name}.h5"
        extract_slide(svs, "s", target, Tiling(), Told(), batch_size=5, threads=threads)
        contents.append(target.read_bytes())
        batches.append(seen)
    assert len(batches[0]) > 5
    assert batches.count(batches[0]) == 4 and contents.count(contents[0]) == 4


class Gated:
    """A slide that tells how many read it at a time, and how many regions it was asked for; ``open`` lets them read."""

    keeps_tiles = False

    def __init__(self):
        self.lock, self.reading, self.most, self.asked = threading.Lock(), 0, 0, 0
        self.open = threading.Event()

    def read_region(self, x, y, width, height, level):
        with self.lock:
            self.reading, self.asked = self.reading + 1, self.asked + 1
            self.most = max(self.most, self.reading)
        assert self.open.wait(MAX_WAIT_SECONDS)
        with self.lock:
            self.reading -= 1
        return np.ones((height, width, 3), np.uint8)


def column(rows):
    corners = np.stack([np.zeros(rows, np.int64), np.arange(rows) * 224], axis=1)
    return Grid(corners, corners, np.ones(rows, np.float32), 0, 224.0, 224.0, 224, rows)


def test_no_more_read_at_a_time_than_may_and_no_more_waits_than_ahead():
    """Of 16 runs that may wait, three are read at a time, then five; nothing beyond them is begun, whatever the threads."""
    slide, threads = Gated(), Fixed(3)
    runs = read_runs(slide, column(40), 16, threads)
    with ThreadPoolExecutor(1) as consumer:
        first = consumer.submit(next, runs)
        until(lambda: slide.reading == 3)
        threads.change(5)
        until(lambda: slide.reading == 5)
        slide.open.set()
        assert first.result().indices.tolist() == [0]
    until(lambda: slide.asked == 16 and slide.reading == 0)
    assert slide.most == 5
    assert [run.indices[0] for run in runs] == list(range(1, 40)), "in order"


def test_closing_ends_those_who_wait_for_their_turn():
    slide, threads = Gated(), Fixed(1)
    runs = read_runs(slide, column(40), 16, threads)
    slide.open.set()
    next(runs)
    threads.number = 0  # nobody may read any more
    read = slide.asked
    runs.close()
    assert slide.asked <= read + 1
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("tiles")]
    threads.number = 1
    assert sum(len(run.indices) for run in read_runs(slide, column(3), 16, threads)) == 3, "the next slide is read as ever"
