"""What slides.csv says of the slides behind an evaluation, counted for its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pathology.contracts.cohort import CohortRow, SlideRow
from pathology.contracts.msi.evaluate import LossRow, ScaleRow, SlideFigures, TilesRead


def figures(cohort: Sequence[CohortRow], slides: Iterable[SlideRow], split: str) -> SlideFigures:
    """The slides of ``cohort`` that are on the side ``split``; most frequent first."""
    wanted = {row.slide_id for row in cohort if row.split == split}
    rows = [row for row in slides if row.slide_id in wanted]
    ok = [row for row in rows if row.status == "ok"]
    failing = [row.failed_tiles or 0 for row in ok]
    lost = Counter((row.status, row.reason) for row in rows if row.status != "ok")
    return SlideFigures(
        slides=len(rows),
        with_features=len(ok),
        tiles=sum(row.tiles or 0 for row in ok),
        failed_tiles=sum(failing),
        slides_with_failed_tiles=sum(count > 0 for count in failing),
        scales=_scales(ok),
        losses=[LossRow(status=status, reason=reason, slides=count) for (status, reason), count in _by_frequency(lost)],
    )


def _scales(rows: Sequence[SlideRow]) -> list[ScaleRow]:
    by_source: dict[str, list[float]] = {}
    for row in rows:
        if row.mpp is not None:
            by_source.setdefault(row.mpp_source or "not recorded", []).append(row.mpp)
    counts = Counter({source: len(scales) for source, scales in by_source.items()})
    return [
        ScaleRow(source=source, slides=count, low=min(by_source[source]), high=max(by_source[source]))
        for source, count in _by_frequency(counts)
    ]


def read_otherwise(slides: Iterable[SlideRow]) -> list[str]:
    """A sentence, where there are slides that were not read as their files say; without its full stop."""
    noticed = [slide for slide in slides if slide.warnings]
    if not noticed:
        return []
    first = f"the first is {noticed[0].slide_id}: {noticed[0].warnings}"
    return [f"slides.csv has warnings for {len(noticed)} slides that were not read as their files say; {first}"]


def _by_frequency(counts: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def total_tiles(answers: Sequence[TilesRead]) -> TilesRead:
    """The sum over patients; null where one of them has no number."""
    return TilesRead.model_validate(
        {name: _total([getattr(answer, name) for answer in answers]) for name in TilesRead.model_fields}
    )


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
