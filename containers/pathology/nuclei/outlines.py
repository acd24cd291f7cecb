"""Nuclei as polygons for QuPath, along the edges of their px: areas are counts of px, and neighbours share their border exactly.

The tissue's outlines (:mod:`pathology.wsi.outline`) run through the middles of edges, which would leave gaps between nuclei that
touch. Here all outlines of a picture are traced at once, out of its label map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError
from pathology.geojson import collection, feature
from pathology.nuclei.classes import instance_classes
from pathology.nuclei.palette import class_colours

Point = tuple[int, int]
Ring = list[Point]
"""x, y of its corners; the last repeats the first."""

RIGHT, DOWN, LEFT, UP = range(4)
"""Ways along an edge of a px, which lies to the right of it as one walks: its top, right, bottom and left edge."""


def features(labels: np.ndarray, classes: Sequence[str], offset: tuple[float, float] = (0, 0), **members: Any) -> dict[str, Any]:
    """The nuclei of ``labels`` (H, W, 2), instance id and class, as a GeoJSON FeatureCollection that QuPath opens.

    One detection a nucleus, ascending by id, classified by name and coloured as :func:`class_colours` says. Coordinates are px, px
    (0, 0) covering 0 to 1 in x and y, moved by ``offset`` (x, y). Rings close, touch neither themselves nor, along an edge, one
    another; exteriors run counter-clockwise with y upwards (RFC 7946), holes clockwise. A nucleus in several pieces, or in pieces
    that touch at corners only, is a MultiPolygon: every px that it has is in it. ``members`` are what the collection has besides.

    Raises:
        DataError: as :func:`instance_classes`.
    """
    ids, kinds = instance_classes(labels, len(classes))
    colours = class_colours(len(classes))
    outlines = polygons(labels[..., 0])
    right, down = offset
    detections = []
    for number, kind in zip(ids.tolist(), kinds.tolist(), strict=True):
        pieces = [[[[x + right, y + down] for x, y in ring] for ring in piece] for piece in outlines[number]]
        detections.append(feature("detection", pieces, classes[kind - 1], colours[kind - 1]))
    return collection(detections, **members)


def polygons(instances: np.ndarray) -> dict[int, list[list[Ring]]]:
    """The outline of every instance of ``instances`` (H, W), whole numbers, 0 background: by id its 4-connected pieces.

    A piece is its exterior and then its holes, pieces go by their first px in reading order. A hole may touch the exterior in a point.

    Raises:
        DataError: for another shape or floats.
    """
    from skimage.measure import label

    if instances.ndim != 2 or instances.dtype.kind not in "iu":
        raise DataError(
            f"instance map: has shape {instances.shape} of {instances.dtype}, and not (H, W) of whole numbers: give the ids"
        )
    if not instances.any():
        return {}
    pieces = np.pad(np.asarray(label(instances.astype(np.int64), connectivity=1, background=0)), 1)
    by_id: dict[int, list[list[Ring]]] = {}
    for piece, rings in _rings(pieces).items():
        exterior = [ring for ring in rings if doubled_area(ring) > 0]
        holes = [ring for ring in rings if doubled_area(ring) < 0]
        assert len(exterior) == 1, f"piece {piece} has one outside"
        x, y = exterior[0][0]  # rings begin at the upper left corner of their first px
        by_id.setdefault(int(instances[y, x]), []).append(exterior + holes)
    return by_id


def doubled_area(ring: Ring) -> int:
    """Twice the area of a closed ``ring`` by the shoelace formula: positive for an exterior, negative for a hole."""
    return sum(x * later_y - later_x * y for (x, y), (later_x, later_y) in pairwise(ring))


def _rings(pieces: np.ndarray) -> dict[int, list[Ring]]:
    """By piece its closed rings without self-contact, the exterior's the first, out of ``pieces`` with a rim of 0."""
    width = pieces.shape[1]
    pixels, ways = _edges(pieces)
    following = _following(pieces.ravel(), width, pixels, ways)
    # Where an edge begins: the px' own corner for its top edge, and so on round it. The rim of 1 px is taken off.
    begin_x = (pixels % width - 1 + ((ways == DOWN) | (ways == LEFT))).tolist()
    begin_y = (pixels // width - 1 + ((ways == LEFT) | (ways == UP))).tolist()
    piece_of, steps, turns = pieces.ravel()[pixels].tolist(), following.tolist(), ways.tolist()
    walked = [False] * len(steps)
    rings: dict[int, list[Ring]] = {}
    for start in range(len(steps)):
        if walked[start]:
            continue
        corners: Ring = []
        edge = start
        while not walked[edge]:
            walked[edge] = True
            after = steps[edge]
            if turns[after] != turns[edge]:
                corners.append((begin_x[after], begin_y[after]))
            edge = after
        corners.insert(0, corners.pop())  # for an exterior the last turn led back to its first edge, where it is to begin
        rings.setdefault(piece_of[start], []).extend(_simple(corners))
    return rings


def _edges(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every edge between a piece and what is not that piece: the index of its px in the flat map, and its way; sorted by both."""
    inner = pieces[1:-1, 1:-1]
    beyond = (pieces[:-2, 1:-1], pieces[1:-1, 2:], pieces[2:, 1:-1], pieces[1:-1, :-2])
    keys = []
    for way, other in enumerate(beyond):
        rows, columns = np.nonzero((inner > 0) & (inner != other))
        keys.append(((rows + 1) * pieces.shape[1] + columns + 1) * 4 + way)
    pixels, ways = np.divmod(np.sort(np.concatenate(keys)), 4)
    return pixels, ways


def _following(flat: np.ndarray, width: int, pixels: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """For each edge the index of the next one along the same 4-connected piece.

    If the px ahead is of another piece, the walk turns right round its own px; if the px ahead is its own and the one across from
    that is not, it goes straight on; else it turns left, along that px across.
    """
    forward = np.array([1, width, -1, -width])
    ahead = pixels + forward[ways]
    across = ahead + forward[(ways - 1) % 4]
    piece = flat[pixels]
    is_right = flat[ahead] != piece
    is_straight = ~is_right & (flat[across] != piece)
    next_pixel = np.where(is_right, pixels, np.where(is_straight, ahead, across))
    next_way = np.where(is_right, ways + 1, np.where(is_straight, ways, ways - 1)) % 4
    return np.searchsorted(pixels * 4 + ways, next_pixel * 4 + next_way)


def _simple(corners: Ring) -> Iterator[Ring]:
    """``corners`` as closed rings that visit no point twice: an outline that touches itself in a point is divided there."""
    path: Ring = []
    seen: dict[Point, int] = {}
    for corner in [*corners, corners[0]]:
        if corner in seen:
            begin = seen[corner]
            yield [*path[begin:], corner]
            for left in path[begin + 1 :]:
                del seen[left]
            del path[begin + 1 :]
        else:
            seen[corner] = len(path)
            path.append(corner)
