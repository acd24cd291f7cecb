"""Why a TIFF tile has no pixels from its own decoder."""

from __future__ import annotations

from pathology.contracts.errors import DataError


class DamagedTileError(DataError):
    """The decoder warned or raised, a checksum fails, or the size is wrong. Final: OpenSlide shows such tiles without a word."""


class NotTakenError(Exception):
    """Written in a way that this decoder does not read; it says nothing against the tile. OpenSlide is asked."""
