"""Parts of pages that are made from other files: what stands between ``<!-- name: how -->`` and ``<!-- /name -->``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path


def replaced(text: str, parts: Mapping[str, str]) -> str:
    """``text`` with each of the ``parts``, whole lines by name, between its marks.

    Raises:
        ValueError: for a part that ``text`` has no marks for.
    """
    for name, content in parts.items():
        pieces = re.split(rf"(?<=^<!-- {name}: )([^>]*-->\n).*?(?=^<!-- /{name} -->)", text, flags=re.DOTALL | re.MULTILINE)
        if len(pieces) != 3:
            raise ValueError(f"put the lines <!-- {name}: … --> and <!-- /{name} --> once where it belongs")
        before, mark, after = pieces
        text = before + mark + content + after
    return text


def refresh(page: Path, parts: Mapping[str, str], command: str) -> int:
    """Write the parts into the page and return 0; with ``--check`` among the arguments write nothing, and return 1 when it is stale.

    ``command`` is what refreshes it. A page that lacks marks is said to, too, and is left as it is.
    """
    text = page.read_text(encoding="utf-8")
    try:
        new = replaced(text, parts)
    except ValueError as error:
        print(f"{page.name}: {error}")
        return 1
    if text == new:
        return 0
    if "--check" in sys.argv:
        print(f"{page.name} is stale: run {command}")
        return 1
    page.write_text(new, encoding="utf-8")
    return 0
