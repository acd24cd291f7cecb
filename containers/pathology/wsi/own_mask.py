"""A person's own mask of the tissue: polygons as QuPath writes them, or a picture of labels that lies over the whole slide."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pathology.contracts.errors import DataError

OWN_MASK = "own mask"
"""Where a slide's tissue comes from when a person drew it."""

MAX_BYTES = 256 * 2**20
"""Of a mask's file: it is held in memory."""

MAX_PIXELS = 2**28
"""Of a picture of labels: 16,384 × 16,384, 268 MB while it is read."""

FORMATS = ("PNG", "TIFF", "BMP")
"""Of a picture of labels. JPEG changes labels near their borders."""

SHAPE_TOLERANCE = 0.01
"""A picture's sides may be out of proportion to the slide's by this fraction, and by a px of rounding."""

FINER, BAND = 4, 64
"""Polygons are drawn this many times finer than the mask, in bands of so many of its rows: a px is tissue where half of it is."""

IGNORED = "ignore"
"""Polygons whose class begins so are cut out, as QuPath's ``Ignore*`` means it."""

_SHIFT = 4
_FURTHEST = 2.0**24
"""Bits of a fraction that OpenCV draws by, and coordinates that it can hold with them."""


@dataclass(frozen=True)
class OwnMask:
    """``mask`` (H, W) bool, and ``remarks``: what of the file was not used, and where its 0, 0 lies."""

    mask: np.ndarray
    remarks: tuple[str, ...] = ()


def read_own_mask(
    content: bytes, shape: tuple[int, int], downsample: float, size: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> OwnMask:
    """The mask on a thumbnail of ``shape`` (H, W) whose px are ``downsample`` level-0 px, of a slide of ``size`` (width, height).

    GeoJSON is in level-0 px from ``origin`` on; its polygons are tissue, but for those of a class that begins with "Ignore", which are
    cut out. A picture covers the slide, whatever its size, and tissue is what is not 0.

    Raises:
        DataError: for a file that is neither, of another shape than the slide, or with no polygon on it.
    """
    if content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _of_polygons(content, shape, downsample, size, origin)
    return _of_picture(content, shape, downsample, size)


def _of_picture(content: bytes, shape: tuple[int, int], downsample: float, size: tuple[int, int]) -> OwnMask:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(f"its mask has {width} × {height} px, {MAX_PIXELS:,} at most: save it smaller")
            factors = (size[0] / width, size[1] / height)
            if abs(factors[0] / factors[1] - 1) > SHAPE_TOLERANCE + 1 / min(width, height):
                raise DataError(
                    f"its mask has {width} × {height} px, which is another shape than the slide's {size[0]} × {size[1]}: draw it on this "
                    "slide, whole"
                )
            labels = np.asarray(image)
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"its mask is neither GeoJSON nor a picture ({', '.join(FORMATS)}) that can be read: {' '.join(str(error).split())[:200]}"
        ) from None
    columns, rows = (
        np.minimum(((np.arange(count) + 0.5) * downsample / factor).astype(np.int64), side - 1)
        for count, factor, side in ((shape[1], factors[0], width), (shape[0], factors[1], height))
    )
    chosen = labels[rows[:, None], columns[None, :]]
    return OwnMask(np.asarray(chosen[..., :3].any(axis=2) if chosen.ndim == 3 else chosen != 0))


def _of_polygons(
    content: bytes, shape: tuple[int, int], downsample: float, size: tuple[int, int], origin: tuple[int, int]
) -> OwnMask:
    try:
        parsed = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"its mask is not GeoJSON: {error}") from None
    tissue: list[list[np.ndarray]] = []
    ignored: list[list[np.ndarray]] = []
    others = 0
    for geometry, name in _geometries(parsed):
        polygons = _polygons(geometry)
        if polygons is None:
            others += 1
            continue
        (ignored if name.lower().startswith(IGNORED) else tissue).extend(polygons)
    shifted = [[ring + origin for ring in polygon] for polygon in tissue]
    if tissue and not any(_touches(polygon[0], size) for polygon in shifted):
        raise DataError(
            f"its mask's polygons all lie beside the slide of {size[0]} × {size[1]} px: its coordinates are px of level 0 of this slide"
        )
    mask = np.zeros(shape, bool)
    draw = [(polygon, 1) for polygon in shifted] + [([ring + origin for ring in polygon], 0) for polygon in ignored]
    fixed = [
        ([np.rint(ring * (FINER / downsample) * 2**_SHIFT - 2 ** (_SHIFT - 1)) for ring in polygon], value)
        for polygon, value in draw
    ]
    for top in range(0, shape[0], BAND):
        rows = min(BAND, shape[0] - top)
        canvas = np.zeros((rows * FINER, shape[1] * FINER), np.uint8)
        for polygon, value in fixed:
            lowest, highest = polygon[0][:, 1].min() / 2**_SHIFT, polygon[0][:, 1].max() / 2**_SHIFT
            if highest >= top * FINER - 1 and lowest <= (top + rows) * FINER:
                rings = [(ring - (0, top * FINER * 2**_SHIFT)).astype(np.int32) for ring in polygon]
                cv2.fillPoly(canvas, rings, value, cv2.LINE_8, _SHIFT)
        counts = canvas.reshape(rows, FINER, shape[1], FINER).sum(axis=(1, 3), dtype=np.uint8)
        mask[top : top + rows] = counts >= FINER * FINER / 2
    return OwnMask(mask, _remarks(len(tissue), len(ignored), others, origin))


def _remarks(tissue: int, ignored: int, others: int, origin: tuple[int, int]) -> tuple[str, ...]:
    remarks = [] if tissue else ["its mask has no polygon of tissue"]
    if ignored:
        remarks.append(f"{ignored} polygons of its mask are of a class Ignore and cut out")
    if others:
        remarks.append(f"{others} points or lines of its mask have no area and are not used")
    if origin != (0, 0):
        begins = f"{origin[0]}, {origin[1]}"
        remarks.append(f"its mask's 0, 0 is taken for the level-0 px {begins}, where the scanned part begins, as QuPath does")
    return tuple(remarks)


def _touches(ring: np.ndarray, size: tuple[int, int]) -> bool:
    low, high = ring.min(axis=0), ring.max(axis=0)
    return bool((high > 0).all() and (low < np.array(size)).all())


def _geometries(parsed: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Each geometry with the name of its class: of a FeatureCollection, a list of features as older QuPath writes, or one alone."""
    match parsed:
        case list():
            for item in parsed:
                yield from _geometries(item)
        case {"type": "FeatureCollection", "features": list(features)}:
            for feature in features:
                yield from _geometries(feature)
        case {"type": "Feature", "geometry": None}:
            return
        case {"type": "Feature", "geometry": dict(geometry)}:
            properties = parsed.get("properties")
            kind = properties.get("classification") if isinstance(properties, dict) else None
            name = kind.get("name") or (kind.get("names") or [""])[0] if isinstance(kind, dict) else kind
            for inner, _ in _geometries(geometry):
                yield inner, str(name or "")
        case {"type": "GeometryCollection", "geometries": list(geometries)}:
            for geometry in geometries:
                yield from _geometries(geometry)
        case {"type": str()} if "coordinates" in parsed:
            yield parsed, ""
        case _:
            raise DataError("its mask is JSON and not GeoJSON: export annotations from QuPath as a FeatureCollection")


def _polygons(geometry: dict[str, Any]) -> list[list[np.ndarray]] | None:
    """Rings (n, 2) float64 of x, y, the exterior first, of each polygon; None for what has no area."""
    match geometry["type"]:
        case "Polygon":
            parts = [geometry["coordinates"]]
        case "MultiPolygon":
            parts = geometry["coordinates"]
        case "Point" | "MultiPoint" | "LineString" | "MultiLineString":
            return None
        case other:
            raise DataError(f"its mask has a geometry of the type {str(other)[:40]!r}, which GeoJSON does not know")
    try:
        polygons = [[np.array([point[:2] for point in ring], np.float64).reshape(-1, 2) for ring in part] for part in parts]
    except (TypeError, ValueError, KeyError):
        raise DataError("its mask has a polygon whose coordinates are not lists of x and y: export it again") from None
    polygons = [polygon for polygon in polygons if polygon]
    for ring in (ring for polygon in polygons for ring in polygon):
        if len(ring) < 3 or not np.isfinite(ring).all() or math.fabs(float(np.abs(ring).max())) > _FURTHEST:
            raise DataError("its mask has a polygon of fewer than 3 points, or with coordinates that are no px: export it again")
    return polygons
