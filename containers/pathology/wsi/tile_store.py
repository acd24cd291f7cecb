"""Regions of a slide out of its TIFF tiles, each of which is decoded once for as long as it is kept.

The store of every reader that decodes TIFF tiles: neighbouring regions share them, and decoding is what reading costs. cuCIM has a
cache of its own, which is left off: up to 26.10 its entries count as equal when the tile's number is, whatever the file and the
level, so that now and then it answers with another slide's tile (https://github.com/rapidsai/cucim/pull/1108). Of 330 slides read
one after the other one had wrong px. It also gives a damaged tile without a word the second time, to another thread too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pathology.contracts.errors import DataError

BAND = 2**15
"""Width in px of a level of the bands that slides are read in, one after the other: the row of TIFF tiles that two rows of the grid
share is kept, however wide the slide."""
KEPT_MARGIN_PIXELS, MAX_KEPT_BYTES = 20_000, 256 * 2**20
"""px of a row that are kept beside the band, for the width of two threads' regions; and the bytes that are kept at most, as tiles
may be high: 256 px tiles take 40 MB, 1,024 px tiles 162 MB."""


@dataclass(frozen=True)
class Strip:
    """TIFF tiles that lie side by side: ``pixels`` (height, width, 3) uint8, cut off at the level's edges; and ``bad``, by the
    column of each that cannot be decoded, and whose pixels mean nothing, the reason in words."""

    pixels: np.ndarray
    bad: Mapping[int, str]


Decode = Callable[[int, int, int, int], Strip]
"""Level, row, and columns from the first to before the last."""
Key = tuple[int, int, int]
"""Level, row, column of a tile."""


class _Span:
    """A strip that is decoded or in progress: columns from ``first`` to before ``last``. ``strip`` or ``error`` end the wait."""

    __slots__ = ("error", "first", "last", "level", "row", "strip")

    def __init__(self, level: int, row: int, column: int) -> None:
        self.level, self.row, self.first, self.last = level, row, column, column + 1
        self.strip: Strip | None = None
        self.error: BaseException | None = None

    def tiles(self) -> list[Key]:
        return [(self.level, self.row, column) for column in range(self.first, self.last)]


class TileStore:
    """Strips that ``decode`` gives, the latest ``max_bytes`` of them. Safe to be used by several threads.

    ``levels`` and ``tiles`` are the sizes (width, height) in px of each level and of its tiles. ``together``: whether ``decode`` is
    asked for all that is missing in a row at once, or for one tile after the other.
    """

    def __init__(
        self,
        levels: Sequence[tuple[int, int]],
        tiles: Sequence[tuple[int, int]],
        decode: Decode,
        max_bytes: int,
        *,
        together: bool = True,
    ) -> None:
        self._together = together
        self._levels, self._tiles, self._decode, self._max_bytes = levels, tiles, decode, max_bytes
        self._lock = threading.Condition()
        self._kept: dict[Key, _Span] = {}
        self._done: deque[tuple[_Span, int]] = deque()
        self._bytes = 0

    def region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        """Pixels (height, width, 3) uint8 at ``x``, ``y`` in px of the level; white beyond its edges.

        Raises:
            DataError: when a tile that it touches cannot be decoded.
        """
        (across, down), (level_width, level_height) = self._tiles[level], self._levels[level]
        inside = x >= 0 and y >= 0 and x + width <= level_width and y + height <= level_height
        pixels = np.empty((height, width, 3), np.uint8) if inside else np.full((height, width, 3), 255, np.uint8)
        columns = range(max(0, x // across), -(-min(x + width, level_width) // across))
        for row in range(max(0, y // down), -(-min(y + height, level_height) // down)):
            top = row * down - y
            rows = pixels[max(0, top) : top + down]
            for span in self._row(level, row, columns):
                strip = span.strip or self._wait(span)
                if strip.bad and (reasons := [reason for column, reason in strip.bad.items() if column in columns]):
                    raise DataError(reasons[0])
                left = span.first * across - x
                part = strip.pixels[max(0, -top) : height - top, max(0, -left) : width - left]
                rows[: part.shape[0], max(0, left) : max(0, left) + part.shape[1]] = part
        return pixels

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._kept.clear()
            self._done.clear()
            self._bytes = 0

    def _row(self, level: int, row: int, columns: range) -> Iterator[_Span]:
        """What holds the tiles in ``columns``, from left to right, each as soon as it is there: what was just decoded is copied while it
        is in the processor's cache. Those that nobody has are decoded here; others may be in another thread's hands."""
        column = columns.start
        while column < columns.stop:
            span, ours = self._claim(level, row, column, columns.stop if self._together else column + 1)
            if ours:
                try:
                    self._keep(span, self._decode(level, row, span.first, span.last))
                except BaseException as error:
                    self._give_up(span, error)
                    raise
            yield span
            column = span.last

    def _claim(self, level: int, row: int, first: int, last: int) -> tuple[_Span, bool]:
        """What holds the tile ``first``, and whether it is to be decoded here, with those up to before ``last`` that nobody has."""
        with self._lock:
            span = self._kept.get((level, row, first))
            if span is not None:
                return span, False
            span = _Span(level, row, first)
            while span.last < last and (level, row, span.last) not in self._kept:
                span.last += 1
            self._kept.update(dict.fromkeys(span.tiles(), span))
            return span, True

    def _wait(self, span: _Span) -> Strip:
        """What another thread is decoding; raises what it raised."""
        with self._lock:
            self._lock.wait_for(lambda: span.strip is not None or span.error is not None)
        if span.strip is None:
            raise span.error or RuntimeError("a tile was neither decoded nor given up")
        return span.strip

    def _keep(self, span: _Span, strip: Strip) -> None:
        with self._lock:
            span.strip = strip
            self._lock.notify_all()
            self._done.append((span, strip.pixels.nbytes))
            self._bytes += strip.pixels.nbytes
            while self._bytes > self._max_bytes:
                oldest, size = self._done.popleft()
                self._bytes -= size
                for key in oldest.tiles():
                    self._kept.pop(key, None)

    def _give_up(self, span: _Span, error: BaseException) -> None:
        """What is not decoded will not be: those who wait are told, and the next may try."""
        with self._lock:
            span.error = error
            for key in span.tiles():
                self._kept.pop(key, None)
            self._lock.notify_all()


def kept_bytes(tiles: Sequence[tuple[int, int]]) -> int:
    """How much of decoded tiles to keep so that each is decoded once, given the (width, height) in px of the levels' tiles; the same
    for every slide with such tiles, so that memory does not grow with the slide."""
    return min(MAX_KEPT_BYTES, 3 * max(height for _, height in tiles) * (BAND + KEPT_MARGIN_PIXELS))
