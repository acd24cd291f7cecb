"""Colours of pictures as exact sums: the same whatever order and batches they come in."""

from __future__ import annotations

import math

import numpy as np


class ColourSums:
    """Counts ``pixels`` and sums red, green and blue (0 to 255) and their squares, all of them whole numbers."""

    def __init__(self) -> None:
        self.pixels = 0
        self._sums, self._squares = [0, 0, 0], [0, 0, 0]

    def add(self, pixels: np.ndarray) -> None:
        """``pixels`` (…, 3) uint8. Below 2³⁷ of them, sums of float64 are exact."""
        self.pixels += pixels.size // 3
        for channel in range(3):
            values = np.ascontiguousarray(pixels[..., channel]).ravel().astype(np.float64)
            self._sums[channel] += int(values.sum())
            self._squares[channel] += int(values @ values)

    def numbers(self) -> tuple[float, ...]:
        """Means, then standard deviations of the channels, as :data:`pathology.contracts.colours.COLOURS` names them.

        Raises:
            ZeroDivisionError: of no pixel.
        """
        n, sums, squares = self.pixels, self._sums, self._squares
        deviations = (math.sqrt(n * square - total**2) / n for total, square in zip(sums, squares, strict=True))
        return (*(total / n for total in sums), *deviations)


def colours_of(picture: np.ndarray) -> tuple[float, ...]:
    """Those of a picture (H, W, 3) uint8, as :meth:`ColourSums.numbers` gives them."""
    sums = ColourSums()
    sums.add(picture)
    return sums.numbers()
