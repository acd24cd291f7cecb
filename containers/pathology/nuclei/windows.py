"""Pictures larger than a network's window, without a seam: its maps are merged, and nuclei are looked for once, in the whole.

Nuclei found window by window have to be matched across borders, where one cut in two is counted twice, and one larger than the
overlap is whole nowhere. Maps have no such trouble. Near its border a window knows only half of the tissue, and the distance maps
of a cut nucleus are those of its visible part. So the outer three eighths of every overlap are not used, in the quarter at its
middle one window fades into the next, and beyond it each is alone: where two windows disagree there is a slope and no step, which
the watershed would take for a border. A nucleus no longer than three eighths of the overlap (24 px of 64, which is 12 µm) was seen
whole by every window with a say in it. Of a larger one each window gives the map of the part that it saw, so at the border the
maps may bend, but the watershed knows no windows: it is neither cut nor counted twice unless the maps themselves turn about there.
Merging maps that agree in the overlaps gives the very same maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pathology.contracts.errors import DataError, RequestError


@dataclass(frozen=True)
class Windows:
    """Windows of ``side`` px over a picture of ``height`` × ``width`` px, row by row, neighbours sharing at least ``overlap`` px.

    The first and the last are flush with the picture's edges and the others spread evenly, so that all have one shape. A picture
    smaller than a window has one window, as large as itself: a network that wants more pads it and crops its maps.

    Raises:
        RequestError: for an empty picture, and when the overlap is not between 4 px and half of the side.
    """

    height: int
    width: int
    side: int = 256
    overlap: int = 64

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise RequestError(f"windows: the picture has {self.width} × {self.height} px: give one with pixels")
        if not 4 <= self.overlap <= self.side / 2:
            raise RequestError(
                f"windows of {self.side} px overlapping by {self.overlap}: let the overlap be from 4 px to half of the side"
            )

    def __len__(self) -> int:
        return len(self._starts(self.height)) * len(self._starts(self.width))

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each window."""
        for top in self._starts(self.height):
            for left in self._starts(self.width):
                yield slice(top, min(top + self.side, self.height)), slice(left, min(left + self.side, self.width))

    def weights(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """How much each window counts at its rows and at its columns; the product of the two is its weight at a px.

        All windows' weights at a px sum to 1, and along rows and along columns at most two are above 0.
        """
        for rows in self._ramps(self.height):
            for columns in self._ramps(self.width):
                yield rows, columns

    def _starts(self, length: int) -> list[int]:
        room = length - self.side
        if room <= 0:
            return [0]
        steps = -(-room // (self.side - self.overlap))
        return [step * room // steps for step in range(steps + 1)]

    def _ramps(self, length: int) -> list[np.ndarray]:
        """Weights of each window along an axis: a linear fade, a quarter of the overlap long, about the middle of what two share."""
        starts = self._starts(length)
        side = min(self.side, length)
        weights = [np.ones(side) for _ in starts]
        for index in range(len(starts) - 1):
            middle = (starts[index + 1] + starts[index] + side) / 2
            for window in (index, index + 1):
                centres = np.arange(starts[window], starts[window] + side) + 0.5
                fade = np.clip((centres - middle) / (self.overlap / 4) + 0.5, 0, 1)
                weights[window] *= fade if window > index else 1 - fade
        return weights


def merge(windows: Windows, maps: Iterable[np.ndarray]) -> np.ndarray:
    """The maps (C, h, w) of each window, in order, as those of the whole picture: (C, H, W) float32.

    ``maps`` may be a generator: none is kept. The mean is a running one, so that equal values stay equal to the last bit.

    Raises:
        DataError: when a map's shape is not its window's, when there are too few or too many, and for NaN or infinity.
    """
    whole: np.ndarray | None = None
    total = np.zeros((windows.height, windows.width), np.float32)
    arriving = iter(maps)
    for number, ((rows, columns), (down, across)) in enumerate(zip(windows, windows.weights(), strict=True), 1):
        tile = next(arriving, None)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        if tile is None:
            raise DataError(f"maps of {number - 1} windows, and there are {len(windows)}: predict every window")
        if tile.ndim != 3 or tile.shape[1:] != shape or (whole is not None and len(tile) != len(whole)):
            raise DataError(
                f"window {number}: has maps {tile.shape}, and not (C, {shape[0]}, {shape[1]}) as the others: crop them"
            )
        if not np.isfinite(tile).all():
            raise DataError(f"window {number}: its maps hold NaN or infinity: the network diverged, or half precision overflowed")
        if whole is None:
            whole = np.zeros((len(tile), windows.height, windows.width), np.float32)
        _blend(whole[:, rows, columns], total[rows, columns], tile, np.outer(down, across).astype(np.float32))
    if next(arriving, None) is not None:
        raise DataError(f"maps of more than {len(windows)} windows: give one of each")
    assert whole is not None, "a picture has at least one window"
    return whole


def _blend(whole: np.ndarray, total: np.ndarray, tile: np.ndarray, weight: np.ndarray) -> None:
    """Move ``whole`` (C, h, w) towards ``tile`` by the fraction that ``weight`` (h, w) is of the ``total`` so far; both in place."""
    total += weight
    fraction = np.divide(weight, total, out=np.zeros_like(weight), where=weight > 0)
    alone = fraction == 1
    whole += fraction * (tile - whole)
    np.copyto(whole, tile, where=alone)
