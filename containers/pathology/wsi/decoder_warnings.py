"""What a native decoder prints while it decodes.

cuCIM answers a damaged JPEG tile with some picture, partly right, and raises nothing: the only sign is a line that it prints on
standard output (26.10, measured). So what is printed during its calls is captured, counted and passed on.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_STDOUT = 1


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)


class DecoderWarnings:
    """Captures the process's standard output for as long as some thread decodes; Linux, where cuCIM runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoding = 0
        self._capture = -1
        self._stdout = -1

    @contextmanager
    def captured(self) -> Iterator[Callable[[], bool]]:
        """``with warnings.captured() as printed: decode(); suspect = printed()``.

        Whether anything was printed since the block began. Another thread's line counts too: that costs a second look, and
        none is missed, since a line is written before the call that it is about returns.
        """
        self._enter()
        try:
            before = self._size()
            yield lambda: self._size() != before
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._decoding == 0:
                _libc().fflush(None)
                if self._capture < 0:
                    self._capture = os.memfd_create("decoder")
                self._stdout = os.dup(_STDOUT)
                os.dup2(self._capture, _STDOUT)
            self._decoding += 1

    def _size(self) -> int:
        # The C library holds back what it prints to anything but a terminal.
        _libc().fflush(None)
        return os.fstat(self._capture).st_size

    def _leave(self) -> None:
        with self._lock:
            self._decoding -= 1
            if self._decoding:
                return
            _libc().fflush(None)
            os.dup2(self._stdout, _STDOUT)
            size = os.fstat(self._capture).st_size
            if size:
                os.write(self._stdout, os.pread(self._capture, size, 0))
                os.ftruncate(self._capture, 0)
                os.lseek(self._capture, 0, os.SEEK_SET)
            os.close(self._stdout)
