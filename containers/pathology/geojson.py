"""GeoJSON as QuPath opens it: features with a class and its colour, whole collections, and as much of one as an answer may have.

QuPath reads ``objectType`` (``annotation``, ``detection``, ``tile``), ``classification``, ``measurements`` and ``metadata`` of a feature's
properties. What a collection says besides are foreign members, which RFC 7946 allows and QuPath passes over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

Ring = Sequence[Sequence[float]]
"""x, y of its corners; the last repeats the first. Exteriors run counter-clockwise with y upwards (RFC 7946), holes clockwise."""
Piece = Sequence[Ring]
"""Its exterior, then its holes."""
Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""
Kind = Literal["annotation", "detection", "tile"]


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def feature(kind: Kind, pieces: Sequence[Piece], class_name: str, colour: Colour, /, **properties: Any) -> dict[str, Any]:
    """One object of class ``class_name``: a Polygon, or a MultiPolygon of several ``pieces``; further ``properties`` as they are."""
    coordinates: dict[str, Any] = {"type": "Polygon", "coordinates": pieces[0]}
    if len(pieces) > 1:
        coordinates = {"type": "MultiPolygon", "coordinates": pieces}
    return {
        "type": "Feature",
        "geometry": coordinates,
        "properties": {"objectType": kind, "classification": {"name": class_name, "color": list(colour)}, **properties},
    }


def square(x: float, y: float, side: float) -> list[list[float]]:
    """The ring of a square with its upper left corner at ``x``, ``y``."""
    right, below = x + side, y + side
    return [[x, y], [right, y], [right, below], [x, below], [x, y]]


def collection(features: Iterable[Mapping[str, Any]], **members: Any) -> dict[str, Any]:
    """A FeatureCollection; its foreign ``members`` stand before the features, where whoever looks into the file sees them."""
    return {"type": "FeatureCollection", **members, "features": list(features)}


def dumps(content: Mapping[str, Any]) -> bytes:
    """The bytes of a collection or of a feature, without blanks: the same content gives the same bytes.

    Raises:
        ValueError: for a number that JSON does not have.
    """
    return _ENCODER.encode(content).encode()


def within(limit: int, features: Iterable[Mapping[str, Any]], members: Callable[[int], Mapping[str, Any]]) -> bytes:
    """The bytes of a collection of as many ``features``, from the first on, as have room in ``limit`` bytes.

    ``members`` says of a number of features what their collection has besides. No more are made than have room.
    """
    written: list[bytes] = []
    size = -1  # a comma goes between two, and not after the last
    for one in features:
        written.append(dumps(one))
        size += len(written[-1]) + 1
        if size > limit:
            break
    while len(head := dumps(collection((), **members(len(written))))) + size > limit and written:
        size -= len(written.pop()) + 1
    return head[: -len("]}")] + b",".join(written) + b"]}"
