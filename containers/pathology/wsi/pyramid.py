"""Which levels of a file are level 0 made smaller, and by how much: proven on the pixels, since sizes can mislead.

Some writers round a level's size up to whole tiles, so that the ratio of sizes is not how much smaller its picture is: with 6,000
px in level 0 and 3,072 px in a level of half the scale, 1.95 would put a tile 140 px beside its place. Others put a thumbnail or a
picture of the whole glass among the levels. So every level is laid over a finer one that is proven already, at a few places with
something to see, under each downsample that its size allows; one that fits none is not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.black import black_pixels
from pathology.wsi.facts import SlideFacts
from pathology.wsi.reader import Level, SlideReader, ratio_of_sizes

MAX_PADDING = 1024
"""px by which a level may be larger than its picture: a tile's side, of which 1,024 is the largest that is common."""

ROUNDING = 2
"""px by which a level may be smaller than its quotient: writers round to even sizes."""

PATCH, MIN_SIDE, MARGIN = 64, 24, 4
"""Side in px of the level of what is compared, at least where the slide ends, and how far around it is looked for."""

MIN_PATCHES, MAX_PATCHES, TRIES = 2, 5, 60
"""Places compared, and tries to find places with something to see; a try decodes one or a few tiles."""

MIN_STRUCTURE = 8.0
"""Standard deviation in grey levels of a patch with something to see: glass has 1 to 3, tissue 10 and more."""

MIN_CORRELATION, MAX_SHIFT = 0.7, 1.5
"""Of the same picture made smaller in two ways (averaged, or every n-th px), blurred; and the px of the level by which it may be moved.
Measured on 60 painted pyramids, JPEG qualities 30 to 95: 0.91 and more under the right scale; under wrong ones, which have to agree at
several places, 1 in 100 is above 0.76. Of their 130 levels 128 were read, none at a wrong scale."""

MIN_AGREEING = 1 / 3
"""Of the places that can be compared, :data:`MIN_PATCHES` at least: some may be damaged, and none agrees by chance."""

BLUR = 1.0
MAX_MAP_PIXELS = 2**22
"""A level of at most so many px is read whole to see where to look; 40 ms."""

BLOCK = 32
GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps that fill a square evenly (Roberts 2018)."""


def candidates(base: tuple[int, int], size: tuple[int, int]) -> tuple[float, ...]:
    """Level-0 px per px that a level of ``size`` may have, the ratio of the sizes first; none when its aspect is another one's.

    The ratio where both sides are its quotients, rounded: a level of ⌊W/4⌋ px has pixels of exactly 4 × 4 px, though W/⌊W/4⌋ is
    4.0003 and off by 8 px at the far end. Besides the powers of two that leave up to :data:`MAX_PADDING` px.
    """
    found: list[float] = []
    ratio = ratio_of_sizes(base, size)
    whole = max(1, round(ratio))
    if all(abs(whole * small - large) < whole for small, large in zip(size, base, strict=True)):
        found.append(float(whole))
    elif all(abs(small - large / ratio) < 1 for small, large in zip(size, base, strict=True)):
        found.append(ratio)
    for factor in (whole, *(2**power for power in range(1, 13))):
        padding = [small - large / factor for small, large in zip(size, base, strict=True)]
        seen = min(large / factor for large in base) >= BLOCK
        if seen and all(-ROUNDING <= rest <= MAX_PADDING for rest in padding) and factor not in found:
            found.append(float(factor))
    return tuple(found)


def sizes_tell(base: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the sizes alone say how much smaller a level is: they are quotients by a whole number, and not of whole tiles by chance."""
    found = candidates(base, size)
    if not found or not found[0].is_integer() or any(abs(found[0] * a - b) >= found[0] for a, b in zip(size, base, strict=True)):
        return False
    exact = all(found[0] * small == large for small, large in zip(size, base, strict=True))
    return exact or len(found) == 1 or any(side % 16 for side in size)


@dataclass(frozen=True)
class _Patch:
    """A place of a level with something to see: its corner in px of the level, and ``grey`` (PATCH, PATCH) float32, blurred."""

    x: int
    y: int
    grey: np.ndarray


class Slide:
    """A slide whose levels are proven, read by ``reader``: itself a :class:`SlideReader`.

    ``levels`` are those of the file that are level 0 made smaller, without what pads them; ``remarks`` say what was left out and
    what was not as its size says. ``mpp``, ``objective`` and ``origin`` are those of its :class:`SlideFacts`.
    """

    def __init__(self, reader: SlideReader, facts: SlideFacts) -> None:
        self.reader = reader
        self.name, self.keeps_tiles = reader.name, reader.keeps_tiles
        self.mpp, self.objective, self.origin = facts.mpp, facts.objective, facts.origin
        proof = _Proof(reader)
        self.levels = tuple(level for level in proof.levels if level is not None)
        self.remarks = proof.remarks()
        self._numbers = [number for number, level in enumerate(proof.levels) if level is not None]

    def read_region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        """As :meth:`SlideReader.read_region`, of a level of :attr:`levels`."""
        return self.reader.read_region(x, y, width, height, self._numbers[level])

    def forget_tiles(self) -> None:
        """As :meth:`SlideReader.forget_tiles`."""
        self.reader.forget_tiles()

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()


class _Proof:
    """``levels`` are the file's with their proven downsample, None where there is none; ``reasons`` why."""

    def __init__(self, reader: SlideReader) -> None:
        self.reader = reader
        self.sizes = [(level.width, level.height) for level in reader.levels]
        self.candidates = [candidates(self.sizes[0], size) for size in self.sizes]
        self.levels: list[Level | None] = [Level(*self.sizes[0], 1.0)]
        self.reasons: dict[int, str] = {}
        self.seen: list[tuple[float, float]] = []
        """Where there was something to see, in level-0 px."""
        self.map = self._map()
        for number in range(1, len(self.sizes)):
            factor = self._downsample(number)
            self.levels.append(None if factor is None else self._level(number, factor))

    def _level(self, number: int, factor: float) -> Level:
        inside = [
            int(large / factor + 1e-6) if small > math.ceil(large / factor - 1e-6) else small
            for small, large in zip(self.sizes[number], self.sizes[0], strict=True)
        ]
        return Level(inside[0], inside[1], factor)

    def _downsample(self, number: int) -> float | None:
        size, found = self.sizes[number], self.candidates[number]
        if not found:
            self.reasons[number] = "its shape is not that of level 0"
            return None
        patches = self._patches(number)
        right: list[float] = []
        refuted = 0
        for factor in found:
            votes = [(patch, vote) for patch in patches if (vote := self._agrees(number, factor, patch)) is not None]
            agreeing = [patch for patch, vote in votes if vote]
            if len(agreeing) >= max(MIN_PATCHES, MIN_AGREEING * len(votes)):
                right.append(factor)
                if all(_tell_apart(agreeing, factor, other) for other in found if other != factor):
                    break
            refuted += len(votes) >= MIN_PATCHES and factor not in right
        if not right and refuted < len(found) and sizes_tell(self.sizes[0], size):
            right = [found[0]]
        if len(right) != 1:
            unlike = "its picture is not that of level 0" if refuted == len(found) else "nothing to see in it proves its scale"
            self.reasons[number] = "its picture fits two scales" if right else unlike
            return None
        self.seen += [((patch.x + PATCH / 2) * right[0], (patch.y + PATCH / 2) * right[0]) for patch in patches]
        return right[0]

    def _agrees(self, number: int, factor: float, patch: _Patch) -> bool | None:
        """Whether the finer level shows the same there; None where it cannot be read, or ends."""
        finer, level = max(
            ((i, level) for i, level in enumerate(self.levels) if level is not None and level.downsample <= factor),
            key=lambda pair: pair[1].downsample,
        )
        ratio = factor / level.downsample
        if patch.x * ratio >= level.width or patch.y * ratio >= level.height:
            return False
        left, top = (round((corner - MARGIN) * ratio) for corner in (patch.x, patch.y))
        # What sticks out of the slide is not compared: it is what pads the level, if the factor is right.
        across, down = (
            min(PATCH, int((length - start) / ratio) - 2 * MARGIN) for length, start in ((level.width, left), (level.height, top))
        )
        if left < 0 or top < 0 or min(across, down) < MIN_SIDE:
            return None
        wanted = (across + 2 * MARGIN, down + 2 * MARGIN)
        try:
            region = self.reader.read_region(left, top, round(wanted[0] * ratio), round(wanted[1] * ratio), finer)
        except DataError:
            return None
        found = cv2.matchTemplate(_grey(region, wanted), patch.grey[:down, :across], cv2.TM_CCOEFF_NORMED)
        row, column = divmod(int(np.argmax(found)), found.shape[1])
        moved = max(abs(row - MARGIN), abs(column - MARGIN))
        return bool(found[row, column] >= MIN_CORRELATION and moved <= MAX_SHIFT)

    def _patches(self, number: int) -> list[_Patch]:
        """Patches with something to see, among the first :data:`TRIES` places."""
        width, height = self.sizes[number]
        limits = (width - PATCH - MARGIN, height - PATCH - MARGIN)
        patches: list[_Patch] = []
        if min(limits) < MARGIN:
            return patches
        tried: set[tuple[int, int]] = set()
        for x, y in self._places(number):
            corner = tuple(int(min(max(value - PATCH / 2, MARGIN), limit)) for value, limit in zip((x, y), limits, strict=True))
            if len(patches) == MAX_PATCHES or len(tried) == TRIES:
                break
            if corner in tried:
                continue
            tried.add((corner[0], corner[1]))
            try:
                pixels = self.reader.read_region(corner[0], corner[1], PATCH, PATCH, number)
            except DataError:
                continue
            grey = _grey(pixels, (PATCH, PATCH))
            if grey.std() >= MIN_STRUCTURE and not black_pixels(pixels):
                patches.append(_Patch(corner[0], corner[1], grey))
        return patches

    def _places(self, number: int) -> Iterator[tuple[float, float]]:
        """Where to look in a level, in its px: where there was something before, on the map, and then everywhere."""
        width, height = self.sizes[number]
        for factor in self.candidates[number]:
            yield from ((x / factor, y / factor) for x, y in self.seen[:MAX_PATCHES])
        if self.map is not None:
            mapped, places = self.map
            own = mapped == number
            for coarse in self.candidates[mapped]:
                factor = 1.0 if own else coarse / self.candidates[number][0]
                yield from ((x * factor, y * factor) for x, y in places if x * factor < width and y * factor < height)
        for step in range(1, TRIES + 1):
            yield (0.5 + GOLDEN[0] * step) % 1 * width, (0.5 + GOLDEN[1] * step) % 1 * height

    def _map(self) -> tuple[int, list[tuple[float, float]]] | None:
        """The smallest level that may be level 0's, and places in its px with something to see, the farthest first, where two scales
        are most apart, then all over."""
        possible = [i for i in range(1, len(self.sizes)) if self.candidates[i] and math.prod(self.sizes[i]) <= MAX_MAP_PIXELS]
        if not possible:
            return None
        number = min(possible, key=lambda i: math.prod(self.sizes[i]))
        width, height = self.sizes[number]
        rows, columns = height // BLOCK, width // BLOCK
        if not rows or not columns:
            return None
        try:
            pixels = self.reader.read_region(0, 0, columns * BLOCK, rows * BLOCK, number)
        except DataError:
            return None
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32).reshape(rows, BLOCK, columns, BLOCK)
        y, x = np.nonzero(grey.std(axis=(1, 3)) >= MIN_STRUCTURE)
        order = np.argsort(-(x + y), kind="stable")
        ranks = [int(step * GOLDEN[0] % 1 * len(order)) for step in range(min(len(order), 3 * MAX_PATCHES))]
        return number, [((float(x[i]) + 0.5) * BLOCK, (float(y[i]) + 0.5) * BLOCK) for i in order[ranks]]

    def remarks(self) -> tuple[str, ...]:
        """A line for each level that is not read, and one for those that are padded."""
        lines = [
            f"level {number} of its file ({self.sizes[number][0]} × {self.sizes[number][1]} px) is not read: {reason}"
            for number, reason in self.reasons.items()
        ]
        padded = [
            (number, level.downsample)
            for number, level in enumerate(self.levels)
            if level is not None and (level.width, level.height) != self.sizes[number]
        ]
        if padded:
            lines.append(f"its levels are padded: downsamples proven on its pixels are {_listed(padded)}")
        return tuple(lines)


def _tell_apart(patches: Sequence[_Patch], factor: float, other: float) -> bool:
    """Whether patches that are in their place under ``factor`` cannot be so under ``other`` too."""
    apart = [max(patch.x, patch.y) * abs(other / factor - 1) > 2 * MAX_SHIFT for patch in patches]
    return sum(apart) >= MIN_PATCHES


def _listed(padded: Sequence[tuple[int, float]]) -> str:
    return ", ".join(f"{factor:g} (level {number})" for number, factor in padded)


def _grey(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``pixels`` (H, W, 3) uint8 averaged to ``size`` (width, height) in float32 grey, blurred: how a level was made smaller counts
    little."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if grey.shape[::-1] != size:
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), BLUR))
