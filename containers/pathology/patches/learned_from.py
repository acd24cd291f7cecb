"""What tells a patch of a table again: its file's sha256, and its group where one is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pathology.contracts.patches import PatchRow
from pathology.learned_from import Item


def items(rows: Iterable[PatchRow], groups: Mapping[str, str] | None = None) -> Iterator[Item]:
    """One for each row; ``groups`` are those of the patches that have one (a patient, a slide), by image."""
    for row in rows:
        group = (groups or {}).get(row.image)
        yield Item(row.image, ids={"groups": (group,) if group else ()}, contents={"patches": (row.sha256,)})
