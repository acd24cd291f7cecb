"""Identifiers of patients and slides as people type them: one normal form to compare, and what is refused.

Unicode's own words: normal forms are UAX #15, look-alikes and mixed scripts UTS #39. Identifiers are compared in the normal form
and kept as they were written.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

MAX_LENGTH = 128
"""Characters of an identifier. What is longer is a sentence in the wrong column."""

HYPHENS = "‐‑‒–—―−﹘﹣－"
"""Hyphens, dashes and the minus sign, which programs put for one another."""

_HYPHEN = str.maketrans(dict.fromkeys(HYPHENS, "-"))

# Letters of other scripts that look like a Latin one, from UTS #39's confusables: Cyrillic, then Greek, in both cases.
_LOOK_ALIKES = str.maketrans(
    dict(zip("АВЕЅІЈКМНОРСТХУԚԜ", "ABESIJKMHOPCTXYQW", strict=True))
    | dict(zip("аеѕіјорсхуԛԝһԁӏ", "aesijopcxyqwhdl", strict=True))
    | dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True))
    | dict(zip("ονρικα", "ovpika", strict=True))
)

_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "LATIN"})
"""Scripts that are written together, UTS #39's level "highly restrictive": none of them is mistaken for another."""


def unified(text: str) -> str:
    """``text`` with compositions, widths, hyphens and spaces made one, and without characters that are not seen; case is kept."""
    if text.isascii():  # nothing to compose and nothing unseen: a tenth of the time
        return " ".join(text.split())
    visible = "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return re.sub(r"\s+", " ", visible.translate(_HYPHEN)).strip()


def normal(text: str) -> str:
    """The form in which identifiers are compared: :func:`unified`, without regard to case.

    >>> normal("Mu\u0308ller‐01") == normal("MÜLLER-01")
    True
    """
    return text_form if (text_form := unified(text).casefold()).isascii() else unicodedata.normalize("NFKC", text_form)


def column_key(name: str) -> str:
    """A column's name as names are compared: without case, blanks, underscores, hyphens, dots and brackets.

    >>> column_key("Patient ID") == column_key("PATIENT_ID") == column_key("patient-id")
    True
    """
    return "".join(char for char in normal(name) if unicodedata.category(char)[0] not in "ZPC")


def skeleton(text: str) -> str:
    """The normal form with letters of other scripts replaced by the Latin ones that they look like: two identifiers with one
    skeleton and two normal forms are told apart by a computer alone."""
    return unicodedata.normalize("NFKC", unified(text).translate(_LOOK_ALIKES).casefold())


def fault(text: str, limit: int = MAX_LENGTH) -> str:
    """Why ``text`` cannot name a patient or a slide in at most ``limit`` characters, or "" when it can."""
    if any(unicodedata.category(char) == "Cc" for char in text):
        return "has a control character"
    if len(text) > limit:
        return f"has {len(text)} characters, more than {limit}"
    if not unified(text):
        return "has no character that can be seen"
    if text.isascii():
        return ""
    scripts = Counter(script for char in unified(text) if char.isalpha() and (script := _script(char)))
    if len(scripts) > 1 and not _EAST_ASIAN.issuperset(scripts):
        rarest = min(sorted(scripts), key=lambda script: scripts[script])
        strangers = sorted({char for char in unified(text) if char.isalpha() and _script(char) == rarest})
        shown = ", ".join(f"{char} (U+{ord(char):04X})" for char in strangers[:3])
        return f"mixes {' and '.join(script.capitalize() for script in sorted(scripts))} letters: {shown}"
    return ""


def printable(text: str, limit: int = 60) -> str:
    """``text`` as a log line may show it: escaped where it has control or invisible characters, cut at ``limit``.

    >>> printable("P1\\r\\nerror: x")
    "'P1\\\\r\\\\nerror: x'"
    """
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    hidden = any(unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") for char in cut)
    return ascii(cut) if hidden else cut


def _script(char: str) -> str:
    """The script that a letter's name starts with; "" for letters of no script."""
    name = unicodedata.name(char, "")
    first = name.split(" ", 1)[0].split("-", 1)[0]
    return "" if first in ("MODIFIER", "FEMININE", "MASCULINE") else first
