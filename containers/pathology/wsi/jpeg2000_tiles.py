"""JPEG 2000 tiles of a TIFF, decoded by OpenJPEG, whose warnings are heard.

Code streams have no checksum: most damage decodes to other px without a warning, and only the file's md5 tells it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache

import cv2
import imagecodecs
import numpy as np

from pathology.wsi.tile_errors import DamagedTileError, NotTakenError

YCBCR_CODEC, RGB_CODEC, STANDARD_CODEC = 33003, 33005, 34712
"""TIFF's compressions: Aperio's two, whose number tells the colours, and the one whose photometric does."""

_START = b"\xff\x4f\xff\x51"
_COMPONENTS = 40
"""Where SIZ says how many components there are (ISO/IEC 15444-1, A.5.1): from there three bytes each, bits, step in x, step in y."""


class _Complaints(logging.Filter):
    """Takes what imagecodecs logs of a decoder in the thread that listens, and leaves other threads' lines alone."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(self.heard, "lines", None)
        if heard is None:
            return True
        heard.append(record.getMessage())
        return False


@cache
def _complaints() -> _Complaints:
    logger, complaints = logging.getLogger("imagecodecs"), _Complaints()
    logger.addFilter(complaints)
    if not logger.isEnabledFor(logging.WARNING):
        logger.setLevel(logging.WARNING)
    return complaints


def _heard(decode: Callable[[], np.ndarray]) -> tuple[np.ndarray | None, list[str]]:
    """What a call gave, None where it raised, and what OpenJPEG said of it."""
    complaints = _complaints()
    lines: list[str] = []
    complaints.heard.lines = lines
    try:
        return decode(), lines
    except (RuntimeError, ValueError, MemoryError) as error:
        return None, lines or [str(error)]
    finally:
        complaints.heard.lines = None


@cache
def warnings_are_heard() -> bool:
    """Whether OpenJPEG's warnings reach us: of a stream without its end it has to say so. They come by imagecodecs' log, which a
    program may have shut."""
    stream = bytes(imagecodecs.jpeg2k_encode(np.zeros((8, 8, 3), np.uint8), codecformat="j2k"))
    _, lines = _heard(lambda: imagecodecs.jpeg2k_decode(stream[:-2] + b"\0\0", verbose=2, numthreads=1))
    return bool(lines)


def decode_jpeg2000(data: bytes, width: int, height: int, *, ycbcr: bool) -> np.ndarray:
    """(height, width, 3) uint8 RGB of a tile's bytes.

    Raises:
        DamagedTileError: when OpenJPEG warns or fails, or the stream is of another size.
        NotTakenError: when its components are not three of 8 bits at full size.
    """
    _check_header(data, width, height)
    pixels, complaints = _heard(lambda: np.asarray(imagecodecs.jpeg2k_decode(data, verbose=2, numthreads=1)))
    if pixels is None or complaints:
        raise DamagedTileError(f"OpenJPEG: {complaints[0]}")
    if pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
        raise DamagedTileError(f"a JPEG 2000 of shape {pixels.shape} of {pixels.dtype}")
    if ycbcr:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB))
    return pixels


def _check_header(data: bytes, width: int, height: int) -> None:
    """Before memory is given to what it declares."""
    if not data.startswith(_START) or len(data) < _COMPONENTS + 11:
        raise DamagedTileError("it does not begin like JPEG 2000")
    x1, y1, x0, y0 = (int.from_bytes(data[at : at + 4], "big") for at in (8, 12, 16, 20))
    if (x1 - x0, y1 - y0) != (width, height):
        raise DamagedTileError(f"a JPEG 2000 of {x1 - x0} × {y1 - y0} px in a tile of {width} × {height}")
    count = int.from_bytes(data[_COMPONENTS : _COMPONENTS + 2], "big")
    if count != 3 or data[_COMPONENTS + 2 : _COMPONENTS + 11] != b"\x07\x01\x01" * 3:
        raise NotTakenError("a JPEG 2000 whose components are not three of 8 bits at full size")
