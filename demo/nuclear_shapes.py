"""Nuclei to paint: how each of the six classes looks, and one drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pathology.contracts.lizard.patches import LIZARD_CLASSES


@dataclass(frozen=True)
class Kind:
    """How a class looks: its fraction; semi-axes in px (0.5 µm each), ``lobes``; density of haematoxylin inside, more at the ``rim``
    and in ``clumps``; the ``body`` around it as a multiple of its size, with haematoxylin and eosin, ``aside`` by a fraction of it."""

    name: str
    fraction: float
    major: tuple[float, float]
    minor: tuple[float, float]
    haematoxylin: float
    rim: float
    clumps: float
    lobes: tuple[int, int] = (1, 1)
    body: float = 0.0
    body_stains: tuple[float, float] = (0.0, 0.0)
    aside: float = 0.0
    pointed: bool = False


KINDS = (
    Kind("neutrophil", 0.08, (3.6, 4.4), (3.0, 3.6), 1.95, 0.1, 0.10, lobes=(2, 4), body=1.75, body_stains=(0.05, 0.30)),
    Kind("epithelial", 0.34, (8.5, 11.5), (6.0, 7.8), 0.72, 0.50, 0.20),
    Kind("lymphocyte", 0.24, (5.4, 6.8), (5.0, 6.0), 1.45, 0.15, 0.18),
    Kind("plasma", 0.10, (5.6, 6.8), (5.0, 5.9), 1.15, 0.45, 0.22, body=1.95, body_stains=(0.58, 0.45), aside=0.6),
    Kind(
        "eosinophil", 0.08, (4.3, 5.1), (3.8, 4.5), 1.25, 0.2, 0.12, lobes=(2, 2), body=1.75, body_stains=(0.0, 1.25), aside=0.3
    ),
    Kind("connective", 0.16, (10.0, 15.0), (3.0, 4.2), 1.05, 0.15, 0.16, pointed=True),
)
assert tuple(kind.name for kind in KINDS) == LIZARD_CLASSES


@dataclass(frozen=True)
class Shape:
    """A nucleus on a square of its own: ``depth`` (2r+1, 2r+1) float32, px from its outline inwards, negative outside; ``body``
    the same of what lies around it."""

    kind: Kind
    depth: np.ndarray
    body: np.ndarray

    @cached_property
    def radius(self) -> float:
        """px: of the disc of the same area."""
        return float(np.sqrt((self.depth > 0).sum() / np.pi))


def draw(kind: Kind, generator: np.random.Generator) -> Shape:
    """A nucleus of a kind, turned at random, its outline uneven."""
    major, minor = generator.uniform(*kind.major), generator.uniform(*kind.minor)
    lobes = int(generator.integers(kind.lobes[0], kind.lobes[1] + 1))
    step, bend = 1.4 * minor, generator.uniform(0.7, 1.5) * generator.choice((-1.0, 1.0))
    reach = int(1.15 * major + 0.5 * step * (lobes - 1) + max(0.0, kind.body - 1 + kind.aside) * 1.5 * major) + 4
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    cos, sin = direction(generator)
    along, across = columns * cos + rows * sin, rows * cos - columns * sin
    if kind.pointed:
        across = across + generator.uniform(-0.012, 0.012) * along**2
        depth = minor * (1 - (along / major) ** 2 - np.abs(across) / minor)
        return Shape(kind, depth, depth)
    turns = bend * (np.arange(lobes) - (lobes - 1) / 2)
    spots = np.cumsum(step * np.stack([np.cos(turns), np.sin(turns)], axis=-1), axis=0)
    depth = np.full(rows.shape, -np.inf, np.float32)
    for x, y in (spots - spots.mean(axis=0)).tolist():
        depth = np.maximum(depth, _oval(along - x, across - y, major, minor, generator))
    radius = float(np.sqrt((depth > 0).sum() / np.pi))
    shift = [round(kind.aside * radius * part) for part in direction(generator)]
    return Shape(kind, depth, np.roll(depth, shift, axis=(0, 1)) + (kind.body - 1) * radius)


def _oval(along: np.ndarray, across: np.ndarray, major: float, minor: float, generator: np.random.Generator) -> np.ndarray:
    """Depth in an uneven ellipse, about in px."""
    angle = np.arctan2(across / minor, along / major)
    outline = np.ones_like(along)
    for waves, size in ((2, 0.05), (3, 0.05), (5, 0.02)):
        outline += generator.normal(0, size) * np.cos(waves * angle + generator.uniform(0, 2 * np.pi))
    return np.asarray((outline - np.hypot(along / major, across / minor)) * float(np.sqrt(major * minor)))


def direction(generator: np.random.Generator) -> tuple[float, float]:
    """A unit vector."""
    angle = generator.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))
