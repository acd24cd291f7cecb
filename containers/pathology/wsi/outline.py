"""What a person looks at beside the features: the tissue's outline for QuPath, and a picture with outline and tiles on it."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass

import cv2
import numpy as np

from pathology.geojson import Colour, collection, dumps, feature
from pathology.wsi.grid import Grid
from pathology.wsi.thumbnail import Thumbnail

TISSUE: Colour = (0, 150, 60)
"""Green is the colour that neither haematoxylin nor eosin has."""

TILES: Colour = (30, 60, 200)
LEFT_OUT: Colour = (150, 150, 150)
UNREADABLE: Colour = (90, 90, 90)
INK: Colour = (40, 40, 40)

NAMESPACE = uuid.UUID("5d1b8a52-6c1c-4f0e-9a3e-2f4f6f1c7a10")
"""Of the outlines' ids: the same outline of the same slide has the same id everywhere, and replaces itself in QuPath."""

MIN_PICTURE_SIDE = 800
"""A small slide's picture is enlarged until its longest side has this many px, so that lines do not cover it."""

MIN_FRAMED_TILE = 5
"""px of the picture; smaller tiles are tinted and not framed, or frames would be all that is seen."""

JPEG_QUALITY = 88


@dataclass(frozen=True)
class Polygon:
    """One connected piece: closed rings (n, 2) float64 of x, y in px of the mask, the ``exterior`` counter-clockwise when y is
    drawn upwards (RFC 7946), the ``holes`` clockwise; the last point repeats the first."""

    exterior: np.ndarray
    holes: tuple[np.ndarray, ...]


def outline(mask: np.ndarray) -> list[Polygon]:
    """The pieces of ``mask`` (H, W) bool, 8-connected, from top to bottom; px (0, 0) covers 0 to 1 in x and y.

    Rings run through the middles of px edges, so no ring touches itself or another one, a single px is a diamond, and a ring's
    area differs from that of its px by half a px.
    """
    if not mask.any():
        return []
    # OpenCV's contours run through centres of px. On a canvas of twice the size, where a px is three by three and shares its
    # rim with its neighbours, those centres lie on edges and corners; the rim outside keeps contours off the canvas's border.
    canvas = np.zeros((2 * mask.shape[0] + 3, 2 * mask.shape[1] + 3), np.uint8)
    canvas[2:-1:2, 2:-1:2] = mask
    contours, tree = cv2.findContours(cv2.dilate(canvas, np.ones((3, 3), np.uint8)), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_ring(contour[:, 0]) for contour in contours]
    parents = tree[0, :, 3]
    holes: dict[int, list[np.ndarray]] = {}
    for index in np.flatnonzero(parents >= 0):
        holes.setdefault(int(parents[index]), []).append(_turned(rings[index], clockwise=True))
    polygons = [
        Polygon(_turned(rings[index], clockwise=False), tuple(sorted(holes.get(int(index), []), key=_top_left)))
        for index in np.flatnonzero(parents < 0)
    ]
    return sorted(polygons, key=lambda polygon: _top_left(polygon.exterior))


def _ring(points: np.ndarray) -> np.ndarray:
    """The middles of edges among ``points`` (n, 2) of the canvas, without those on a straight run, closed, in px of the mask."""
    middles = points[(points[:, 0] + points[:, 1]) % 2 == 1].astype(np.int64)
    ahead = np.roll(middles, -1, axis=0) - middles
    behind = np.roll(ahead, 1, axis=0)
    bends = middles[ahead[:, 0] * behind[:, 1] != ahead[:, 1] * behind[:, 0]]
    start = int(np.lexsort((bends[:, 0], bends[:, 1]))[0])
    bends = np.roll(bends, -start, axis=0)
    return np.asarray((np.concatenate([bends, bends[:1]]) - 1) / 2)


def _turned(ring: np.ndarray, *, clockwise: bool) -> np.ndarray:
    return ring[::-1] if (signed_area(ring) < 0) != clockwise else ring


def signed_area(ring: np.ndarray) -> float:
    """Area of a closed ``ring`` (n, 2), positive when it runs counter-clockwise with y upwards (the shoelace formula)."""
    x, y = ring[:, 0], ring[:, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def _top_left(ring: np.ndarray) -> tuple[float, float]:
    return float(ring[0, 1]), float(ring[0, 0])


def tissue_geojson(tissue: np.ndarray, downsample: float, slide_id: str, origin: tuple[int, int] = (0, 0)) -> bytes:
    """A GeoJSON FeatureCollection of the tissue in level-0 px, as QuPath imports it: one locked annotation a piece.

    ``tissue`` (H, W) bool has ``downsample`` level-0 px per px. ``origin`` is the level-0 px x, y where QuPath lets the slide begin,
    which is 0, 0 there: OpenSlide's bounds, that it crops to unless told ``--no-crop``. The same mask gives the same bytes.
    """
    features = []
    for number, polygon in enumerate(outline(tissue), start=1):
        rings = [np.round(ring * downsample - origin, 2).tolist() for ring in (polygon.exterior, *polygon.holes)]
        name = uuid.uuid5(NAMESPACE, json.dumps([slide_id, rings]))
        piece = feature("annotation", [rings], "Tissue", TISSUE, name=f"Tissue {number}", isLocked=True)
        features.append({"id": str(name), **piece})
    return dumps(collection(features)) + b"\n"


def overlay(
    thumbnail: Thumbnail,
    tissue: np.ndarray,
    grid: Grid,
    mpp: float,
    *,
    before_sampling: Grid | None = None,
    max_side: int = 2000,
) -> bytes:
    """The thumbnail with the tissue's outline (green) and the tiles (blue) on it and a scale bar below, as a JPEG.

    ``tissue`` (H, W) bool lies on the thumbnail, ``mpp`` is µm per level-0 px. The tiles of a sample are tinted, and framed in
    grey are those of ``before_sampling`` that it left out; what could not be read is hatched. The picture's longest side,
    without the bar's strip, is at most ``max_side`` px.
    """
    height, width = thumbnail.pixels.shape[:2]
    scale = min(max(1.0, MIN_PICTURE_SIDE / max(height, width)), max_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(thumbnail.pixels, size, interpolation=method)
    unknown = cv2.resize(thumbnail.unknown.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    rows, columns = np.nonzero(unknown)
    striped = (rows + columns) % 12 < 4
    picture[rows[striped], columns[striped]] = UNREADABLE
    per_level0 = scale / thumbnail.downsample
    line = max(1, round(max(size) / 800))
    if before_sampling is not None:
        _draw_tiles(picture, before_sampling, per_level0, line, LEFT_OUT)
    _draw_tiles(picture, grid, per_level0, line, TILES)
    for polygon in outline(tissue):
        for ring in (polygon.exterior, *polygon.holes):
            # In sixteenths of a px, and its middle at whole numbers.
            points = np.rint((ring[:-1] * scale - 0.5) * 16).astype(np.int32)
            cv2.polylines(picture, [points], True, TISSUE, 2 * line, cv2.LINE_AA, 4)
    picture = np.concatenate([picture, _strip(size[0], grid, mpp / per_level0)])
    good, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert good, "a JPEG of at least 1 × 1 px can always be encoded"
    return encoded.tobytes()


def _draw_tiles(picture: np.ndarray, grid: Grid, per_level0: float, line: int, colour: Colour) -> None:
    """Frame the tiles where they are large enough for it; tint those of a sample, and those too small for a frame."""
    frame = grid.side_level0 * per_level0 >= MIN_FRAMED_TILE * line
    tint = 0.14 if len(grid) < grid.candidates or not frame else 0.0
    for corner in grid.coords:
        (left, top), (right, bottom) = (
            np.rint(point * per_level0).astype(int).tolist() for point in (corner, corner + grid.side_level0)
        )
        tile = picture[top:bottom, left:right]
        if tint and tile.size:
            tile[:] = cv2.addWeighted(tile, 1 - tint, np.full_like(tile, colour), tint, 0)
        if frame:
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, line)


def _strip(width: int, grid: Grid, micron: float) -> np.ndarray:
    """A white strip as wide as the picture: a bar of a round length, and how many tiles there are; ``micron`` is µm/px."""
    strip = np.full((44, width, 3), 255, np.uint8)
    max_length = max(width * micron / 4, 1e-9)
    power = 10.0 ** math.floor(math.log10(max_length))
    length = max(step * power for step in (1, 2, 5) if step * power <= max_length)
    end = 12 + round(length / micron)
    cv2.line(strip, (12, 22), (end, 22), INK, 3)
    count = f"{len(grid):,} tiles" if grid.candidates == len(grid) else f"{len(grid):,} of {grid.candidates:,} tiles"
    words = f"{length / 1000:g} mm     {count}"
    cv2.putText(strip, words, (end + 12, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.55, INK, 1, cv2.LINE_AA)
    return strip
