"""Slide ids: what names a slide's features, claims and pictures, made of its file's name and never of the order of a listing.

A name of ASCII letters, digits, ``.``, ``_``, ``-`` and blanks, up to 200, is its own id. Of any other name the id is what ASCII has
of it with a hash of the name. Where several files have one name, each id ends with a hash of the path below the slides' folder.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable

from pydantic import TypeAdapter, ValidationError

from pathology.cohort.formats import strip_slide_suffix
from pathology.contracts.cohort import SlideId
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import printable

READABLE = 150
"""Characters of a name that an id keeps: with a hash, a suffix and a temporary name's ending a file name has at most 255 bytes."""

_SLIDE_ID: TypeAdapter[str] = TypeAdapter(SlideId)
# Letters that do not decompose into ASCII.
_LETTERS = str.maketrans({"ß": "ss", "Æ": "AE", "æ": "ae", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "ı": "i"})


def safe_id(name: str) -> str:
    """The id of a slide whose file has this name, without its extension. Composed and decomposed accents give the same.

    >>> safe_id("P01 (HE)") == safe_id("P01 (HE)") != safe_id("P01 [HE]")
    True
    """
    try:
        return _SLIDE_ID.validate_python(name)
    except ValidationError:
        return f"{_readable(name)}-{_digest(unicodedata.normalize('NFC', name))}"


def slide_ids(paths: Iterable[str], pictures: Collection[str] = frozenset()) -> dict[str, str]:
    """The id of each of ``paths`` below the slides' folder; no two are the same, whatever the case of their letters.

    Of ``pictures`` none takes the name of a slide.

    Raises:
        DataError: for a name with control characters, or that is not UTF-8.
    """
    named: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(paths):
        if not path.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in path):
            raise DataError(f"{path!a} has a control character, or is not UTF-8, and cannot name a slide: rename it")
        own = safe_id(strip_slide_suffix(path))
        named.setdefault(own.casefold(), []).append((path, own))
    ids: dict[str, str] = {}
    for members in named.values():
        slides = [path for path, _ in members if path not in pictures]
        keeps = members[0][0] if len(members) == 1 else slides[0] if len(slides) == 1 else None
        composed = [unicodedata.normalize("NFC", path) for path, _ in members]
        for (path, own), text in zip(members, composed, strict=True):
            # Two paths that differ only in how an accent is written are told apart by their bytes.
            ids[path] = own if path == keeps else f"{own[:READABLE]}-{_digest(text if composed.count(text) == 1 else path)}"
    first: dict[str, str] = {}
    for path, slide_id in ids.items():
        if (other := first.setdefault(slide_id.casefold(), path)) != path:
            raise DataError(f"{printable(other)} and {printable(path)} both have the slide id {slide_id}: rename one")
    return ids


def _readable(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS)).encode("ascii", "ignore").decode()
    tidy = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")
    return tidy[:READABLE] or "slide"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
