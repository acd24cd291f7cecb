"""Identifiers of patients and slides as people type them, and the form in which they are compared."""

from __future__ import annotations

import unicodedata


def normal(text: str) -> str:
    """``text`` without regard to case, compositions and widths (Unicode's NFKC); identifiers are kept as they were written."""
    return unicodedata.normalize("NFKC", text).casefold()
