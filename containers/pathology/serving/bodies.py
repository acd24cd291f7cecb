"""Reading a request's body without holding more of it, or of all of them, than was agreed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from pathology.contracts.media import MAX_BODY

MAX_HELD = 64 * 2**20
"""Of all bodies being read at one time."""
READ_SECONDS = 20.0
DRAIN_SECONDS, DRAIN_BYTES = 2.0, 4 * MAX_BODY
"""How much of a refused body is read and dropped: a client still sending would see a broken connection, and no reason."""


class RefusedError(Exception):
    """A request that is answered with ``status`` and one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Body:
    """A request's body, piece by piece as it arrives, once."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self.ended = False
        length = request.headers.get("content-length", "")
        self.declared = int(length) if length.isdecimal() else 0
        self.size = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """What has not been read yet.

        Raises:
            ClientDisconnect: when the client goes away before the end.
        """
        while not self.ended:
            message: MutableMapping[str, Any] = await self._receive()
            if message["type"] == "http.disconnect":
                self.ended = True
                raise ClientDisconnect
            self.ended = not message.get("more_body", False)
            piece = message.get("body", b"")
            self.size += len(piece)
            yield piece

    async def drop(self) -> None:
        """Read the rest to nowhere, within reason."""
        if self.declared > DRAIN_BYTES:
            return
        with suppress(ClientDisconnect, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in self.pieces():
                    if self.size > DRAIN_BYTES:
                        return


class Bodies:
    """All bodies being read; ``held`` is their size in bytes."""

    def __init__(self, max_body: int = MAX_BODY, max_held: int = MAX_HELD) -> None:
        self.max_body, self.max_held, self.held = max_body, max_held, 0

    @asynccontextmanager
    async def reading(self, body: Body) -> AsyncIterator[bytearray]:
        """The whole body, counted as held until the block ends.

        Raises:
            RefusedError: when it is too large, too slow, or one too many.
            ClientDisconnect: when the client goes away.
        """
        too_large = RefusedError(413, f"the body has more than {self.max_body:,} bytes, the most that is read: send less")
        if body.declared > self.max_body:
            raise too_large
        content = bytearray()
        try:
            async with asyncio.timeout(READ_SECONDS):
                async for piece in body.pieces():
                    if len(content) + len(piece) > self.max_body:
                        raise too_large
                    if self.held + len(piece) > self.max_held:
                        raise RefusedError(503, "too many requests are being read: try again in a second")
                    content += piece
                    self.held += len(piece)
            yield content
        except TimeoutError:
            raise RefusedError(408, f"the body did not come within {READ_SECONDS:.0f} s: send it again") from None
        finally:
            self.held -= len(content)
