"""What tells a patch of a table again: its file's sha256, and its group where one is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pathology.contracts.learned_from import Item
from pathology.contracts.patches import PatchRow


def items(rows: Iterable[PatchRow]) -> Iterator[Item]:
    """One for each row."""
    for row in rows:
        yield Item(row.image, ids={"groups": (row.group,) if row.group else ()}, contents={"patches": (row.sha256,)})
