"""Statistics of what a model learns from, for drift-baseline.json: one pass, in float64."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pathology.contracts.colours import COLOURS
from pathology.contracts.drift import DIGITS, LEVELS, Colours, DriftBaseline, Moments, Quantiles, Reference, standardised

MAX_ITEMS = 2000
"""Patches that embeddings and colours are taken of: one pass without gradients, whatever the number of training patches."""
ROWS = 2048
"""Rows that are in float64 at a time."""


class RunningMoments:
    """Mean and sum of squared differences of D numbers, by Chan, Golub & LeVeque 1983: exact to rounding in any order and batches."""

    def __init__(self, numbers: int) -> None:
        self.n, self.mean, self._squares = 0, np.zeros(numbers), np.zeros(numbers)

    def add(self, values: np.ndarray) -> None:
        """``values`` (m, D) of any precision."""
        for start in range(0, len(values), ROWS):
            part = values[start : start + ROWS].astype(np.float64)
            mean, n = part.mean(axis=0), self.n + len(part)
            apart = mean - self.mean
            self._squares += ((part - mean) ** 2).sum(axis=0) + apart**2 * (self.n * len(part) / n)
            self.mean = self.mean + apart * (len(part) / n)
            self.n = n

    @property
    def variance(self) -> np.ndarray:
        """(D,), by n − 1; 0 of a single row."""
        return self._squares / max(1, self.n - 1)

    def moments(self) -> Moments:
        """As the file has them."""
        return Moments(n=self.n, mean=rounded(self.mean), sd=rounded(np.sqrt(self.variance)))


def rounded(values: np.ndarray) -> tuple[float, ...]:
    """To :data:`DIGITS` significant digits, so that what the order of sums moves does not change the file's bytes."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)


def quantiles(values: np.ndarray) -> Quantiles:
    """Of ``values`` (n,), at the levels that the file has."""
    return Quantiles(values=rounded(np.quantile(values, LEVELS)))


def reference(vectors: np.ndarray) -> Reference:
    """What ``vectors`` (n, D), one an item, look like; a distance is of each item against all others."""
    running = RunningMoments(vectors.shape[1])
    running.add(vectors)
    return Reference(**running.moments().model_dump(), distance=_left_out(vectors.astype(np.float64), running))


def _left_out(vectors: np.ndarray, running: RunningMoments) -> Quantiles | None:
    """Quantiles of each item's distance from the rest; the rest's moments follow from those of all (Welford's step taken back)."""
    n = running.n
    if n < 3:
        return None
    distances = []
    for vector in vectors:
        apart = vector - running.mean
        rest = (running.variance * (n - 1) - apart**2 * n / (n - 1)) / (n - 2)
        rest[rest < running.variance * 1e-12] = 0  # a difference of equals
        distances.append(standardised((apart * n / (n - 1))[None], rest)[0])
    return quantiles(np.array(distances)) if np.isfinite(distances).all() else None


def colours(found: Sequence[tuple[float, ...] | None], unit: str, pixels: str) -> Colours:
    """Of items counted in ``unit``, six numbers each, or None where they are unknown; ``pixels`` says which were looked at."""
    known = np.array([each for each in found if each is not None])
    return Colours(
        unit=unit,
        pixels=pixels,
        unknown=len(found) - len(known),
        reference=reference(known) if len(known) else None,
        quantiles={name: quantiles(known[:, number]) for number, name in enumerate(COLOURS)} if len(known) else None,
    )


def drawn(count: int, seed: int) -> np.ndarray:
    """Which of ``count`` items statistics are taken of: all, or :data:`MAX_ITEMS` drawn by ``seed``, in their order."""
    if count <= MAX_ITEMS:
        return np.arange(count)
    return np.sort(np.random.default_rng((seed, count)).choice(count, MAX_ITEMS, replace=False))


def pack(baseline: DriftBaseline) -> tuple[str, bytes]:
    """The sha256 and the bytes of the file; says what it is of."""
    content = baseline.to_json()
    print(
        f"drift baseline: {baseline.taken:,} of {baseline.items:,} {baseline.unit} of {' and '.join(baseline.splits)}", end="; "
    )
    known = baseline.colours.reference.n if baseline.colours.reference else 0
    print(f"colours of {known:,} {baseline.colours.unit}, unknown of {baseline.colours.unknown:,}")
    return hashlib.sha256(content).hexdigest(), content
