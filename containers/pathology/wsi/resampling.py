"""Squares of a level made tiles of the encoder's size: px averaged over the area that each new one covers."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from scipy.sparse import csr_array


def resample(region: np.ndarray, side: float, tile_size: int) -> np.ndarray:
    """The top left ``side`` × ``side`` px of ``region`` (S, S, 3) uint8, S ≥ side, averaged to (tile_size, tile_size, 3).

    ``side`` need not be whole: the scale is exact, and a px that two new ones share counts for each by its part. Where S px would stay S,
    they are taken as they are: less than half a px off, and not blurred for it. What is enlarged, by 1 % at most, is interpolated.
    """
    factor, length = side / tile_size, region.shape[0]
    if round(length / factor) == length:
        return region[:tile_size, :tile_size]
    if factor > 1 and not factor.is_integer():
        return _averaged(region, side, tile_size)
    resized = cv2.resize(region, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized[:tile_size, :tile_size])


def _averaged(region: np.ndarray, side: float, tile_size: int) -> np.ndarray:
    """As cv2's INTER_AREA, up to rounding, in a third of its time: that goes px by px where the factor is no whole number."""
    length = region.shape[0]
    weights = area_weights(side, tile_size, length)
    rows = weights @ region.reshape(length, -1).astype(np.float32)
    columns = weights @ cv2.transpose(rows.reshape(tile_size, length, 3)).reshape(length, -1)
    return np.asarray(cv2.transpose(cv2.convertScaleAbs(columns).reshape(tile_size, tile_size, 3)))


@lru_cache(maxsize=64)
def area_weights(side: float, tile_size: int, length: int) -> csr_array:
    """(tile_size, length) float32: how much of each new px lies in each of the ``length`` px of which ``side`` count; rows sum to 1."""
    factor = side / tile_size
    edges = np.arange(tile_size + 1) * factor
    near = math.ceil(factor) + 1  # px that a new one can touch
    new = np.repeat(np.arange(tile_size), near)
    old = edges[new].astype(int) + np.tile(np.arange(near), tile_size)
    covered = np.minimum(edges[new + 1], old + 1) - np.maximum(edges[new], old)
    there = (covered > 0) & (old < length)
    return csr_array((covered[there] / factor, (new[there], old[there])), shape=(tile_size, length), dtype=np.float32)
