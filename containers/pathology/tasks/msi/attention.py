"""Where the ensemble looked: a patient's tiles as GeoJSON for QuPath, those with most attention first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pathology.geojson import Colour, feature, square, within
from pathology.serving.named import NamedError
from pathology.tasks.msi.patients import Place

CLASSES: tuple[tuple[float, str, Colour], ...] = (
    (10.0, "Attention from 10 times the mean", (165, 0, 38)),
    (3.0, "Attention 3 to 10 times the mean", (244, 109, 67)),
    (1.0, "Attention 1 to 3 times the mean", (254, 224, 144)),
    (0.0, "Attention below the mean", (116, 173, 209)),
)
"""By multiples of what each tile of the patient would have if all had the same; colours from blue to red, as QuPath's users expect of
a heat map, told apart with any kind of colour vision (ColorBrewer's RdYlBu)."""
MEASUREMENTS = ("Attention", "Attention SD over folds", "Attention / mean")
"""The folds' mean and standard deviation, and the mean as a multiple of that over the patient's tiles."""
LEAST_BYTES = 200
"""Every tile has more: no more of them are looked at than could have room."""
DIGITS = 6
"""Significant ones of an attention: it is a float32."""


def attention_geojson(attention: np.ndarray, places: Sequence[Place], limit: int, **members: Any) -> bytes:
    """The tiles of all ``places`` as a FeatureCollection in level-0 px of their slides, by falling attention.

    ``attention`` (K, N) is each fold's, which sums to 1 over the patient's tiles; a tile has :data:`MEASUREMENTS` of it. Where
    ``limit`` bytes are too few those with least attention are left out, and the foreign members say how many; ``members`` are further ones.

    Raises:
        NamedError: naming a slide whose feature file does not say how large its tiles are.
    """
    sides = [_side(place, f"slide {number} of {len(places)}") for number, place in enumerate(places, 1)]
    mean, spread = attention.mean(axis=0, dtype=np.float64), attention.std(axis=0, dtype=np.float64)
    order = np.argsort(-mean, kind="stable")
    first = order[: limit // LEAST_BYTES]
    owners = np.repeat(np.arange(len(places)), [len(place.coords) for place in places])
    coords = np.concatenate([place.coords for place in places])

    def tiles() -> Iterator[dict[str, Any]]:
        columns = (owners[first], coords[first], mean[first], spread[first], mean[first] * len(mean))
        for owner, (x, y), *values in zip(*(column.tolist() for column in columns), strict=True):
            _, name, colour = next(entry for entry in CLASSES if values[-1] >= entry[0])
            yield feature(
                "tile",
                [[square(x, y, sides[owner])]],
                name,
                colour,
                measurements=dict(zip(MEASUREMENTS, map(_rounded, values), strict=True)),
                metadata={"slide_id": places[owner].slide_id},
            )

    def about(shown: int) -> dict[str, Any]:
        kept = order[:shown]
        each = np.bincount(owners[kept], minlength=len(places)).tolist()
        left = len(order) - shown
        said = f"the {left:,} of {len(order):,} tiles with the least attention, since an answer has at most {limit:,} bytes"
        return {
            **members,
            "slides": [
                {"slide_id": place.slide_id, "tiles": len(place.coords), "shown": count, "side": side}
                for place, count, side in zip(places, each, sides, strict=True)
            ],
            "tiles_shown": shown,
            "tiles_left_out": left,
            "attention_shown": _rounded(mean[kept].sum()),
            **({"left_out": said} if left else {}),
        }

    return within(limit, tiles(), about)


def _side(place: Place, where: str) -> float:
    """Of its tiles, an int where it is one: their corners are."""
    if place.side is None:
        said = "its feature file does not say how large a tile is"
        raise NamedError(f"slide {place.slide_id}: {said}: extract it again", f"{where}: {said}")
    return int(place.side) if place.side == int(place.side) else round(place.side, 2)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
