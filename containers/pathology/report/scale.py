"""Scale bars on a report's pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

WIDEST = 1 / 3
"""Of the picture."""


@dataclass(frozen=True)
class ScaleBar:
    """A bar of a round length: ``microns`` µm, the ``fraction`` of the picture's width that they are, and both in words."""

    microns: float
    fraction: float
    words: str


def scale_bar(width: int, mpp: float, about: bool = False) -> ScaleBar:
    """The bar of a picture ``width`` px wide at ``mpp`` µm/px: 1, 2 or 5 times a power of ten, as long as fits into a third.

    ``about`` says that the scale is a nominal one, and the words say so too.

    Raises:
        ValueError: when one of them is not above 0.
    """
    if width <= 0 or not mpp > 0:
        raise ValueError(f"no bar for a picture {width} px wide at {mpp} µm/px")
    whole = width * mpp
    power = 10.0 ** math.floor(math.log10(whole * WIDEST))
    microns = max(step * power for step in (1, 2, 5) if step * power <= whole * WIDEST)
    length = f"{microns / 1000:g} mm" if microns >= 1000 else f"{microns:g} µm"
    return ScaleBar(microns, microns / whole, f"about {length}" if about else length)
