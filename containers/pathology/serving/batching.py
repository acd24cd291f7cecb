"""Requests that come together go through the model together."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

from pathology.contracts.errors import PathologyError

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

MAX_WAITING, MAX_HELD = 512, 96 * 2**20
"""Items before the model, and bytes of all whose answer is not ready to be sent: 512 patches of 224 px, or seven pictures of four
megapixels. Who comes later is told at once to try again."""
FAILURES_OF_A_BROKEN_MODEL = 3


class OverloadedError(Exception):
    """More is waiting than is worth waiting behind."""


class Answer(NamedTuple, Generic[O]):
    """What the model says of one item, and how many items it looked at together."""

    value: O
    batch: int


class Batcher(Generic[I, O]):
    """Collects concurrent items into batches of up to ``max_items``, and runs ``predict`` on them in one thread of its own.

    With ``size``, bytes of an item, a batch ends before it has more than ``max_bytes``; one larger item goes alone.
    A batch waits for company at most ``wait_ms`` and never while the model is idle with a full one. ``sizes`` counts the batches
    by their size. When a batch fails its items are tried one by one, so that an error reaches only the request that caused it.
    """

    def __init__(
        self,
        predict: Callable[[list[I]], Sequence[O]],
        max_items: int,
        wait_ms: float,
        size: Callable[[I], int] = lambda _: 0,
        max_bytes: int = sys.maxsize,
        max_held: int = MAX_HELD,
    ) -> None:
        self.predict, self.max_items, self.wait_s = predict, max_items, wait_ms / 1000
        self.size, self.max_bytes, self.max_held, self.held = size, max_bytes, max_held, 0
        self.sizes: Counter[int] = Counter()
        self._next: tuple[I, asyncio.Future[Answer[O]]] | None = None
        self._queue: asyncio.Queue[tuple[I, asyncio.Future[Answer[O]]] | None] = asyncio.Queue()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._loop_task: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def healthy(self) -> bool:
        """Whether it runs and its model did not fail, for no reason of the items', several times in a row."""
        running = self._loop_task is not None and not self._loop_task.done()
        return running and self._failures < FAILURES_OF_A_BROKEN_MODEL

    def start(self) -> None:
        """Begin, inside a running event loop."""
        self._loop_task = asyncio.create_task(self._run(), name="batcher")

    async def close(self) -> None:
        """Answer all that wait, then end."""
        self._queue.put_nowait(None)
        if self._loop_task is not None:
            await self._loop_task
        self._worker.shutdown()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count an item of ``size`` bytes as held until the block, in which it is submitted and its answer written, ends.

        Raises:
            OverloadedError: when too much is held already.
        """
        if self.held and self.held + size > self.max_held:
            raise OverloadedError
        self.held += size
        try:
            yield
        finally:
            self.held -= size

    async def submit(self, item: I) -> Answer[O]:
        """The answer for one item.

        Raises:
            OverloadedError: when too many wait already.
            Exception: what ``predict`` raised on this item.
        """
        if self._queue.qsize() >= MAX_WAITING:
            raise OverloadedError
        future: asyncio.Future[Answer[O]] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, future))
        return await future

    async def _run(self) -> None:
        loop, last = asyncio.get_running_loop(), False
        while not last:
            batch, last = await self._collect()
            batch = [(item, future) for item, future in batch if not future.done()]  # gone: its client went away
            if not batch:
                continue
            results = await loop.run_in_executor(self._worker, self._predict, [item for item, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(Answer(result, len(batch)))

    async def _collect(self) -> tuple[list[tuple[I, asyncio.Future[Answer[O]]]], bool]:
        """The next batch, and whether it is the last."""
        loop, size = asyncio.get_running_loop(), 0
        batch: list[tuple[I, asyncio.Future[Answer[O]]]] = []
        entry = self._next or await self._queue.get()
        self._next = None
        until = loop.time() + self.wait_s
        while entry is not None:
            size += self.size(entry[0])
            if batch and size > self.max_bytes:
                self._next = entry
                return batch, False
            batch.append(entry)
            if len(batch) == self.max_items or size >= self.max_bytes:
                return batch, False
            try:
                entry = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                try:
                    async with asyncio.timeout_at(until):
                        entry = await self._queue.get()
                except TimeoutError:
                    return batch, False
        return batch, True

    def _predict(self, items: list[I]) -> list[O | Exception]:
        """In the worker: an answer or an error for each."""
        self.sizes[len(items)] += 1
        try:
            answers = list(self.predict(items))
            if len(answers) != len(items):
                raise RuntimeError(f"the model gave {len(answers)} answers to {len(items)} items")
        except Exception as error:  # handed to whom it belongs
            if len(items) > 1:
                return [answer for item in items for answer in self._predict([item])]
            self._failures += not isinstance(error, PathologyError)
            return [error]
        self._failures = 0
        return [*answers]
