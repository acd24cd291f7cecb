"""GDC manifests: ``make`` one from the API's answer, or list the ``rows`` of one. Standard library only.

``gdc_manifest.py make`` reads the JSON of GDC's ``files`` endpoint on standard input and prints the manifest that
gdc-client reads: columns id, filename, md5, size, state, by file name. ``gdc_manifest.py rows MANIFEST LIMIT`` prints a
checked manifest, header first, the smallest file first; LIMIT 0 is all of it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("id", "filename", "md5", "size", "state")
FIELDS = {"id": "file_id", "filename": "file_name", "md5": "md5sum", "size": "file_size", "state": "state"}
"""What the API calls them."""
PATTERNS = {
    "id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "filename": r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}",
    "md5": r"[0-9a-f]{32}",
    "size": r"[1-9][0-9]{0,14}",
    "state": r"[a-z_]*",
}
"""What a row may hold: its id and filename become a path."""


class ManifestError(Exception):
    """What is wrong with a manifest or an answer, and where."""


def check_rows(rows: list[dict[str, str]], where: str) -> list[dict[str, str]]:
    """The rows themselves.

    Raises:
        ManifestError: for none, a value that is not what its column holds, or a file that is duplicated.
    """
    if not rows:
        raise ManifestError(f"{where} holds no file")
    for number, row in enumerate(rows, start=1):
        for column, pattern in PATTERNS.items():
            if not re.fullmatch(pattern, row[column]):
                raise ManifestError(f"{where}, file {number}: its {column} is {row[column][:80]!r}, which is not valid")
    if len({row["id"] for row in rows}) < len(rows):
        raise ManifestError(f"{where} holds a duplicated file")
    return rows


def rows_of_answer(text: str) -> list[dict[str, str]]:
    """Rows by file name from an answer of the ``files`` endpoint.

    Raises:
        ManifestError: when it is not such an answer, or does not hold all the files that it counts.
    """
    try:
        data: dict[str, Any] = json.loads(text)["data"]
        hits, total = data["hits"], data["pagination"]["total"]
        rows = [{column: str(hit[field]) for column, field in FIELDS.items()} for hit in hits]
    except (ValueError, KeyError, TypeError):
        raise ManifestError("GDC's answer is not that of its files endpoint") from None
    if len(rows) != total:
        raise ManifestError(f"GDC counts {total} files and sent {len(rows)}")
    return sorted(check_rows(rows, "GDC's answer"), key=lambda row: row["filename"])


def rows_of_manifest(text: str, where: str) -> list[dict[str, str]]:
    """Rows, the smallest file first, from a manifest; a missing column ``state`` is empty.

    Raises:
        ManifestError: when it is not a valid manifest.
    """
    header, *lines = text.lstrip("\ufeff").splitlines() or [""]
    names = header.split("\t")
    missing = [column for column in COLUMNS[:4] if column not in names]
    if missing:
        raise ManifestError(f"{where} has no column {missing[0]!r}")
    rows = []
    for line in filter(None, lines):
        values = dict(enumerate(line.split("\t")))
        rows.append({column: values.get(names.index(column), "") if column in names else "" for column in COLUMNS})
    return sorted(check_rows(rows, where), key=lambda row: (int(row["size"]), row["filename"]))


def main(arguments: list[str]) -> int:
    """0 after printing a manifest, 1 after one line about what is wrong, 2 for another command line."""
    try:
        if arguments == ["make"]:
            rows = rows_of_answer(sys.stdin.read())
        elif len(arguments) == 3 and arguments[0] == "rows" and arguments[2].isdecimal():
            rows = rows_of_manifest(Path(arguments[1]).read_text("utf-8"), arguments[1])[: int(arguments[2]) or None]
        else:
            print("usage: gdc_manifest.py make < ANSWER | gdc_manifest.py rows MANIFEST LIMIT", file=sys.stderr)
            return 2
    except (ManifestError, OSError, UnicodeDecodeError) as error:
        print(f"error: {error}: make or download the manifest again", file=sys.stderr)
        return 1
    print("\n".join("\t".join(row) for row in (COLUMNS, *(row.values() for row in rows))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
