"""A slide's exact scale in µm/px, and where it was learnt."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pathology.contracts.errors import DataError
from pathology.contracts.settings import COARSEST_MPP, FINEST_MPP

COARSER_TOLERANCE = 1.05
"""A slide may be this much coarser than asked: scanners sold as 20× write 0.46 to 0.52 µm/px, and enlarging by less than 5 %
moves a tile's far corner by less than one 14 px patch. Beyond it, detail that the encoder expects is not in the slide."""

ANISOTROPY = 0.02
"""x and y may differ by 2 %; beyond it no square tile is right."""

OBJECTIVE = 10.0
"""µm/px times an objective's power: 20× is sold as 0.5 µm/px, 40× as 0.25."""

OBJECTIVE_DOUBT, OBJECTIVE_REFUSED = 2.5, 4.0
"""Factors by which a scale may be off what its objective gives. Small camera px and adapters give half of it (0.23 µm/px with 20×
on 3DHISTECH's scanners, OpenSlide's own test slide); an inch taken for a centimetre is 2.54, mm for cm 10."""

Source = Literal["cohort", "vendor", "ome", "tiff", "objective", "default"]
REMEDY = "give its µm/px in the column 'mpp' of the table"


@dataclass(frozen=True)
class Scale:
    """``mpp`` in µm per level-0 px, and its ``source``."""

    mpp: float
    source: Source


@dataclass(frozen=True)
class UnusableScale:
    """A file that gives a scale which cannot be right, and why: no default stands in for it."""

    reason: str


def file_scale(claims: Iterable[tuple[Source, float, float]]) -> Scale | UnusableScale | None:
    """What a file says of its scale, given its fields in the order in which they are trusted: source, µm/px in x and in y.

    A field where both are placeholders (72 dpi is 353 µm/px; 0 or not a number) says nothing. None when no field says anything.
    """
    for source, x, y in claims:
        if all(not math.isfinite(value) or value <= 0 or value > COARSEST_MPP for value in (x, y)):
            continue
        if not (x > 0 and y > 0 and abs(x / y - 1) <= ANISOTROPY):
            return UnusableScale(
                f"its px are not square: {x:g} µm/px in x and {y:g} in y ({source}), and tiles would be stretched"
            )
        if (x + y) / 2 < FINEST_MPP:
            return UnusableScale(
                f"its file says {(x + y) / 2:g} µm/px ({source}), and no scanner is finer than {FINEST_MPP:g}: was it converted "
                "with px per mm taken for px per cm?"
            )
        return Scale((x + y) / 2, source)
    return None


def choose_scale(
    given: Scale | UnusableScale | None,
    cohort_mpp: float | None,
    default_mpp: float | None,
    wanted: float,
    *,
    objective: float | None = None,
    by_objective: bool = False,
) -> Scale:
    """The cohort's column, which is a correction, before what the file has ``given``, before ``default_mpp``.

    ``wanted`` is the tiles' scale in µm/px, ``objective`` the power of the slide's; with ``by_objective`` it gives a scale before
    the default does.

    Raises:
        DataError: when there is none, or it cannot be right, or the slide is coarser than ``wanted`` by more than 5 %.
    """
    scale = _chosen(given, cohort_mpp, default_mpp, objective if by_objective else None)
    if scale is None:
        told = f", only an objective of {objective:g}× ('objective-scale: true' takes it)" if objective else ""
        raise DataError(
            f"its file gives no scale{told}: add its µm/px to the column 'mpp' of the table, or set 'default-mpp' (DefaultMpp)"
        )
    if scale.source != "cohort" and _off(scale, objective) > OBJECTIVE_REFUSED:
        raise DataError(f"{_beside_objective(scale, objective)}; {REMEDY}")
    if scale.mpp > wanted * COARSER_TOLERANCE:
        raise DataError(
            f"it is coarser than asked: {scale.mpp:g} µm/px ({scale.source}) for tiles at {wanted:g} µm/px; "
            "take it out, or correct its 'mpp' in the table"
        )
    return scale


def _chosen(
    given: Scale | UnusableScale | None, cohort_mpp: float | None, default_mpp: float | None, objective: float | None
) -> Scale | None:
    if cohort_mpp is not None:
        return Scale(cohort_mpp, "cohort")
    if isinstance(given, UnusableScale):
        raise DataError(f"{given.reason}; {REMEDY}")
    if given is not None:
        return given
    if objective:
        return Scale(OBJECTIVE / objective, "objective")
    return Scale(default_mpp, "default") if default_mpp is not None else None


def scale_remarks(scale: Scale, objective: float | None) -> tuple[str, ...]:
    """What is to be said of a scale that is used: that the objective speaks against it."""
    return (_beside_objective(scale, objective),) if _off(scale, objective) > OBJECTIVE_DOUBT else ()


def _off(scale: Scale, objective: float | None) -> float:
    """The factor, 1 and more, between a scale and what the objective gives."""
    if not objective:
        return 1.0
    factor = scale.mpp * objective / OBJECTIVE
    return max(factor, 1 / factor)


def _beside_objective(scale: Scale, objective: float | None) -> str:
    return (
        f"its scale and its objective do not go together: {scale.mpp:g} µm/px ({scale.source}) and {objective:g}×, "
        f"which gives about {OBJECTIVE / (objective or 1):g}"
    )
