"""What a slide's file says of itself beside its pixels: scale, objective, and where viewers let it begin."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from pathology.wsi.mpp import Scale, Source, UnusableScale, file_scale
from pathology.wsi.tiff import Directory

MAX_OME = 2**24
"""Characters of a description that are parsed as XML."""

_MICRONS = {"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "in": 25400.0, "m": 1e6}
"""Of OME's UnitsLength, those a scale is given in; µ is U+00B5 in the schema and U+03BC in some files."""


@dataclass(frozen=True)
class SlideFacts:
    """``mpp`` is None when the file gives no scale; ``objective`` its power, None when it is not said; ``origin`` the level-0 px x, y
    that viewers which crop to the scanned part, as QuPath does, call 0, 0."""

    mpp: Scale | UnusableScale | None = None
    objective: float | None = None
    origin: tuple[int, int] = (0, 0)


def read_facts(properties: Mapping[str, str], directories: Sequence[Directory]) -> SlideFacts:
    """The facts in OpenSlide's ``properties`` and in a TIFF's ``directories`` (none for other formats).

    The scale is the vendor's, else OME-XML's physical size, else that of the TIFF's resolution tags.
    """
    ome = _ome(properties.get("tiff.ImageDescription", ""))
    generic = properties.get("openslide.vendor") == "generic-tiff"
    claims: list[tuple[Source, float, float]] = []
    resolution = (_number(properties.get("openslide.mpp-x")), _number(properties.get("openslide.mpp-y")))
    if not generic:
        claims.append(("vendor", *resolution))
    if ome is not None:
        claims.append(("ome", ome.x, ome.y))
    if generic:
        claims.append(("tiff", *resolution))
    if directories and directories[0].mpp:
        claims.append(("tiff", *directories[0].mpp))
    powers = (_number(properties.get("openslide.objective-power")), ome.power if ome else math.nan)
    return SlideFacts(file_scale(claims), next((power for power in powers if power > 0), None), scanned_origin(properties))


def scanned_origin(properties: Mapping[str, str]) -> tuple[int, int]:
    """Where the scanned part begins, in level-0 px: OpenSlide's bounds, which QuPath crops to when a slide has all four of them."""
    names = [f"openslide.bounds-{name}" for name in ("x", "y", "width", "height")]
    x, y, width, height = (_number(properties.get(name)) for name in names)
    return (int(x), int(y)) if math.isfinite(x + y + width + height) else (0, 0)


@dataclass(frozen=True)
class _Ome:
    """The first image's physical size in µm/px, and its objective's power; not a number where it is not said."""

    x: float
    y: float
    power: float


def _ome(description: str) -> _Ome | None:
    """What OME-XML in a TIFF's description says; None where there is none. No entities are resolved: none is allowed."""
    if "<OME" not in description[:4096] or len(description) > MAX_OME or re.search("<!(DOCTYPE|ENTITY)", description):
        return None
    try:
        root = ElementTree.fromstring(description.strip("\0 \r\n\t").encode())  # noqa: S314 - no DOCTYPE, so nothing expands
    except ElementTree.ParseError:
        return None
    image = root.find("{*}Image")
    pixels = image.find("{*}Pixels") if image is not None else None
    if image is None or pixels is None:
        return None
    x, y = (
        _number(pixels.get(f"PhysicalSize{axis}")) * _MICRONS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), math.nan)
        for axis in "XY"
    )
    objectives = {objective.get("ID"): objective for objective in root.iterfind("{*}Instrument/{*}Objective")}
    settings = image.find("{*}ObjectiveSettings")
    used = objectives.get(settings.get("ID")) if settings is not None else next(iter(objectives.values()), None)
    return _Ome(x, y, _number(used.get("NominalMagnification")) if used is not None else math.nan)


def _number(text: str | None) -> float:
    """Not a number where there is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
