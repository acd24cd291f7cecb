"""JPEG tiles of a TIFF, decoded strictly: what libjpeg only warns of is damage.

Tiles may share their tables (TIFF Technical Note 2), and the colours are the TIFF's to tell: a JPEG stream of three components
without a marker counts as YCbCr to libjpeg, though Aperio's scanners write RGB so. So each stream gets an APP14 marker (Adobe,
Technical Note 5116) with what the TIFF says, in place of those that it has.
"""

from __future__ import annotations

import numpy as np
import simplejpeg

from pathology.wsi.tile_errors import DamagedTileError, NotTakenError

RGB, YCBCR = 2, 6
"""TIFF's photometric interpretations."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_ADOBE = {
    RGB: b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00",
    YCBCR: b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01",
}
_TELLS_COLOURS = frozenset({0xE0, 0xEE})
"""JFIF's and Adobe's markers: libjpeg takes their word before ours."""

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive, in Huffman's code: what OpenSlide's libjpeg reads in slides."""

_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_SCAN = 0xDA


class JpegTiles:
    """Decodes the JPEG tiles of a directory; ``tables`` are those that its tiles share, as the TIFF gives them. Thread-safe.

    Raises:
        NotTakenError: when the tables are no JPEG stream of tables alone.
    """

    def __init__(self, tables: bytes, photometric: int, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._start = _START + _ADOBE[photometric] + _shared_tables(tables)
        # The header of one tile and what stands in its place: most often that of every tile, and proven once.
        self._known = (b"", b"")

    def decode(self, data: bytes) -> np.ndarray:
        """(height, width, 3) uint8 RGB of a tile's bytes.

        Raises:
            DamagedTileError: when libjpeg warns, or the stream is of another size.
            NotTakenError: when it is a JPEG that slides do not have: other components, 12 bits, lossless, arithmetic.
        """
        header, replaced = self._known
        if not header or not data.startswith(header):
            end = _header_end(data, self._width, self._height)
            header, replaced = self._known = data[:end], self._start + _without_colours(data[:end])
        pixels = _unaligned((self._height, self._width, 3))
        try:
            decoded = simplejpeg.decode_jpeg(replaced + data[len(header) :], "RGB", strict=True, buffer=pixels)
        except ValueError as error:
            raise DamagedTileError(f"libjpeg: {error}") from None
        if decoded.shape != pixels.shape:
            raise DamagedTileError(f"a JPEG of {decoded.shape[1]} × {decoded.shape[0]} px")
        return pixels


def _unaligned(shape: tuple[int, int, int]) -> np.ndarray:
    """Room for uint8, 8 bytes behind a cache line's start: aligned rows libjpeg-turbo writes past the cache, which takes a quarter
    longer than the whole decoding otherwise does (240 × 240 px: 155 and 125 µs, measured)."""
    size = shape[0] * shape[1] * shape[2]
    room = np.empty(size + 64 + 8, np.uint8)
    start = -int(room.__array_interface__["data"][0]) % 64 + 8
    return room[start : start + size].reshape(shape)


def _shared_tables(tables: bytes) -> bytes:
    """What lies between start and end of the tables that tiles share, without markers that tell colours."""
    if not tables:
        return b""
    if not tables.startswith(_START):
        raise NotTakenError("its JPEG tables do not begin like JPEG")
    kept, position = b"", 2
    while tables[position : position + 2] not in {_END, b""}:
        marker, end = _segment(tables, position)
        if marker is None or end > len(tables) or marker == _SCAN or marker in _FRAMES | _OTHER_FRAMES:
            raise NotTakenError("its JPEG tables hold other than tables")
        if marker not in _TELLS_COLOURS:
            kept += tables[position:end]
        position = end
    return kept


def _segment(data: bytes, position: int) -> tuple[int | None, int]:
    """The marker at ``position`` and where its segment ends; None where there is no marker."""
    while data[position : position + 2] == b"\xff\xff":  # fill bytes may stand before it
        position += 1
    if position + 4 > len(data) or data[position] != 0xFF:
        return None, position
    return data[position + 1], position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def _header_end(data: bytes, width: int, height: int) -> int:
    """Where a stream's first scan begins, behind its header, once its frame is of the right size."""
    if not data.startswith(_START):
        raise DamagedTileError("it does not begin like JPEG")
    position, framed = 2, False
    while True:
        marker, end = _segment(data, position)
        if marker is None or end > len(data):
            raise DamagedTileError("its JPEG header is broken off")
        if marker == _SCAN and framed:
            return end
        if marker == _SCAN:
            raise DamagedTileError("a JPEG without its size")
        if marker in _OTHER_FRAMES:
            raise NotTakenError("a JPEG that is lossless or arithmetic")
        if marker in _FRAMES:
            _check_frame(data[position + 4 : end], width, height)
            framed = True
        position = end


def _without_colours(header: bytes) -> bytes:
    """What stands behind its start, without the markers that tell colours."""
    kept, position = b"", 2
    while position < len(header):
        marker, end = _segment(header, position)
        if marker not in _TELLS_COLOURS:
            kept += header[position:end]
        position = end
    return kept


def _check_frame(frame: bytes, width: int, height: int) -> None:
    if len(frame) < 6:
        raise DamagedTileError("its JPEG header is broken off")
    bits, components = frame[0], frame[5]
    size = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
    if size != (width, height):  # before memory is given to it
        raise DamagedTileError(f"a JPEG of {size[0]} × {size[1]} px in a tile of {width} × {height}")
    if (bits, components) != (8, 3):
        raise NotTakenError(f"a JPEG of {components} components of {bits} bits")
