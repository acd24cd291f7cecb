"""Memory that was needed once is given back to the machine."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""mallopt(3)."""
GIVEN_BACK = 4 * 2**20
"""bytes: a block this large goes back when it is freed. A decoded picture of a megapixel is one, a patch is not."""


def configure_malloc() -> None:
    """Hold glibc's allocator to :data:`GIVEN_BACK`; where the C library has no mallopt nothing is changed.

    By itself it learns from large blocks to keep the next ones, tens of MB in every thread that ever decoded a large picture.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, GIVEN_BACK)
        mallopt(M_TRIM_THRESHOLD, GIVEN_BACK)
