"""A slide's exact scale in µm/px, and where it was learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pathology.contracts.errors import DataError

COARSER_TOLERANCE = 1.05
"""A slide may be this much coarser than asked: scanners sold as 20× write 0.46 to 0.52 µm/px, and enlarging by less than 5 %
moves a tile's far corner by less than one 14 px patch. Beyond it, detail that the encoder expects is not in the slide."""

PLAUSIBLE = (0.05, 20.0)
"""µm/px of any slide scanner; outside are placeholders such as 72 dpi (353 µm/px)."""

ANISOTROPY = 0.02
"""x and y may differ by 2 %; beyond it no square tile is right."""


@dataclass(frozen=True)
class Scale:
    """``mpp`` in µm per level-0 px, and its ``source``."""

    mpp: float
    source: Literal["cohort", "vendor", "tiff", "default"]


def isotropic(x: float, y: float) -> float | None:
    """The mean of the scales in x and y in µm/px, or None when they are implausible or too different."""
    plausible = all(PLAUSIBLE[0] <= value <= PLAUSIBLE[1] for value in (x, y))
    return (x + y) / 2 if plausible and abs(x / y - 1) <= ANISOTROPY else None


def choose_scale(file_scale: Scale | None, cohort_mpp: float | None, default_mpp: float | None, wanted: float) -> Scale:
    """The cohort's column, which is a correction, before the slide's ``file_scale``, before ``default_mpp``.

    ``wanted`` is the tiles' scale in µm/px.

    Raises:
        DataError: when there is none, or the slide is coarser than ``wanted`` by more than 5 %.
    """
    if cohort_mpp is not None:
        scale = Scale(cohort_mpp, "cohort")
    elif file_scale is not None:
        scale = file_scale
    elif default_mpp is not None:
        scale = Scale(default_mpp, "default")
    else:
        raise DataError(
            "its file gives no scale: add its µm/px to the column 'mpp' of the table, or set 'default-mpp' (DefaultMpp)"
        )
    if scale.mpp > wanted * COARSER_TOLERANCE:
        raise DataError(
            f"it is coarser than asked: {scale.mpp:g} µm/px ({scale.source}) for tiles at {wanted:g} µm/px; "
            "take it out, or correct its 'mpp' in the table"
        )
    return scale
