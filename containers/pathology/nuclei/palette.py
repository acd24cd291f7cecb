"""One colour a class, the same in QuPath and in the report's overlays."""

from __future__ import annotations

from pathology.contracts.errors import RequestError
from pathology.geojson import Colour

OKABE_ITO: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
    (0, 0, 0),
)
"""Told apart with any kind of colour vision (Okabe and Ito 2008, Color Universal Design). The two that come close to haematoxylin
and eosin, blue and reddish purple, come late; black is last."""

SHADES = (0.0, 0.55, -0.45, 0.3)
"""Of the same eight colours, for classes 1 to 8, 9 to 16, …: so far towards white, or, negative, towards black."""


def class_colours(classes: int) -> list[Colour]:
    """Different colours of classes 1 to ``classes``, at most 32: the first eight are safe for the colour-blind, further ones are
    lighter and darker shades of them, which no palette of that size can promise to be.

    Raises:
        RequestError: for more.
    """
    if not 0 <= classes <= len(OKABE_ITO) * len(SHADES):
        raise RequestError(f"{classes} classes: there are colours for up to {len(OKABE_ITO) * len(SHADES)}: merge some")
    return [_shade(colour, shade) for shade in SHADES for colour in OKABE_ITO][:classes]


def _shade(colour: Colour, shade: float) -> Colour:
    """Black has no darker shade: it becomes a grey of its own."""
    if shade < 0 and not any(colour):
        return (90, 90, 90)
    towards = 255 if shade > 0 else 0
    red, green, blue = (round(value + (towards - value) * abs(shade)) for value in colour)
    return red, green, blue
