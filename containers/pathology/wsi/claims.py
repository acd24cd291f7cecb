"""Which host extracts which slide: claims by conditional create, largest slide first, seen by listing and not by trying.

A host that takes a slide lists the job's claims (1,000 keys a request on S3), leaves out what is taken and creates a claim on
the largest slide that is left. The create alone decides; the listing only spares creates that would be refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from pathology.contracts.errors import DataError
from pathology.contracts.extraction.slides import SlideToExtract
from pathology.contracts.storage import Entry
from pathology.contracts.uris import Uri

WIDENING = 4
"""After each refused create a host looks for its next among this many times as many slides, so that hosts spread out."""

IN_PROGRESS = ".in-hand"
"""The folder among a job's claims with one note per host. No slide_id starts with a dot."""

MAX_TRIES = 3


class ClaimStore(Protocol):
    """What claiming asks of a :class:`pathology.contracts.storage.Store`."""

    def read(self, uri: Uri) -> bytes:
        """The object's bytes. Raises DataError when it is not there."""

    def write(self, uri: Uri, content: bytes) -> None:
        """Put an object, replacing what was there."""

    def create(self, uri: Uri, content: bytes) -> bool:
        """Put an object only if there is none; whether this call did it."""

    def list(self, uri: Uri) -> Iterator[Entry]:
        """Objects below ``uri``."""


def largest_first(row: SlideToExtract) -> tuple[int, str]:
    """Sorts a cohort as it is claimed: by bytes, the largest first, then by slide_id."""
    return -row.bytes, row.slide_id


class WorkQueue:
    """The slides of a cohort as one host claims them, one by one until none is left. Not for two threads at a time.

    ``claims`` is the job's folder of claims, ``host`` this host's name, ``rank`` its index among ``hosts``.
    ``finished`` says whether there is nothing to do for a slide; it is asked once for each slide that this host claims.
    """

    def __init__(
        self,
        store: ClaimStore,
        claims: Uri,
        rows: Iterable[SlideToExtract],
        finished: Callable[[SlideToExtract], bool],
        *,
        host: str = "algo-1",
        rank: int = 0,
        hosts: int = 1,
    ) -> None:
        self.store, self.claims, self.finished = store, claims, finished
        self.host, self.rank, self.hosts = host, rank, hosts
        self.note = claims / IN_PROGRESS / host
        self.taken = self.skipped = 0
        """Slides to extract that this host took, and slides that it claimed and that were finished already."""
        self.done_before_restart = 0
        """Slides that this host was done with before a restart; known once it has taken one, and not looked at again."""
        # Not known to be claimed, in the order to claim them; keyed by the path of the claim, as the listing gives it.
        self._unclaimed = {f"{claims.path}/{row.slide_id}": row for row in sorted(rows, key=largest_first)}
        self._unfinished: list[SlideToExtract] | None = None
        self._last: SlideToExtract | None = None
        # All hosts of a job start at once and see no claims: each begins at the slide of its own rank.
        self._width = hosts

    @property
    def largest(self) -> int:
        """Bytes of the largest slide that is not known to be claimed: the next has no more. 0: there is none, or nobody knows."""
        return next((row.bytes for row in self._unclaimed.values()), 0)

    def take(self) -> SlideToExtract | None:
        """Claim the next slide to extract; this host's own unfinished claims, from before a restart, come first.

        It may be claimed while the one before is in progress: one, never more. No other host can take it then: be late.
        None: nothing is left.

        Raises:
            DataError: when a claim neither exists nor can be created.
        """
        if self._unfinished is None:
            self._unfinished = self._interrupted()
        while (row := self._next()) is not None:
            if not self.finished(row):
                self.taken += 1
                self._last = row
                return row
            self.skipped += 1
        return None

    def _next(self) -> SlideToExtract | None:
        if self._unfinished:
            return self._unfinished.pop(0)
        self._refresh()
        width, self._width = self._width, 1
        while self._unclaimed:
            path = next(islice(self._unclaimed, self.rank % min(width, len(self._unclaimed)), None))
            row = self._unclaimed[path]
            del self._unclaimed[path]
            if self._claim(row):
                return row
            width *= WIDENING
            if width > WIDENING * self.hosts:  # so often refused, the listing is old
                self._refresh()
                width = self.hosts
        return None

    def _refresh(self) -> None:
        for entry in self.store.list(self.claims):
            self._unclaimed.pop(entry.uri.path, None)

    def _claim(self, row: SlideToExtract) -> bool:
        # Noted before it is claimed: a host killed in between reads a name that is not its own, never a claim without a name.
        in_progress = [claimed.slide_id for claimed in (self._last, row) if claimed is not None]
        done = self.done_before_restart + self.skipped + max(0, self.taken - 1)
        self.store.write(self.note, json.dumps({"in_hand": in_progress, "done": done}).encode())
        claim = self.claims / row.slide_id
        for _ in range(MAX_TRIES):
            if self.store.create(claim, self.host.encode()):
                return True
            holder = self._holder(claim)
            if holder is not None:
                return holder == self.host  # this host's when the answer to a first try was lost on the way
        raise DataError(f"{claim}: it cannot be created, and does not exist")

    def _holder(self, claim: Uri) -> str | None:
        try:
            return self.store.read(claim).decode()
        except DataError:
            return None  # S3 refuses both of two creates that conflict: to be tried again

    def _interrupted(self) -> list[SlideToExtract]:
        """The slides that this host had in progress when it was interrupted: at most two, named by its note."""
        try:
            note = json.loads(self.store.read(self.note))
        except DataError:
            return []
        self.done_before_restart = note["done"]
        rows = [self._unclaimed[path] for name in note["in_hand"] if (path := f"{self.claims.path}/{name}") in self._unclaimed]
        held = [row for row in rows if self._holder(self.claims / row.slide_id) == self.host]
        for row in held:
            del self._unclaimed[f"{self.claims.path}/{row.slide_id}"]
        return sorted(held, key=largest_first)
