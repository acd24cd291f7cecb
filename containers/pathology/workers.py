"""A command in several processes on one host, a GPU each: started again as it was started, heard, and stopped together."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pathology.contracts.errors import DataError, PathologyError, RequestError

VARIABLE = "PATHOLOGY_WORKER"
"""``2/4`` in the second of four workers."""

GRACE = 12.0
"""Seconds that workers have to end in once they are told to; those that are left are killed."""

_STDIN = 0


@dataclass(frozen=True)
class Worker:
    """This process's place on its host: ``number`` of ``count``, from 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def current(cls) -> Worker | None:
        """The worker that this process was started as by :func:`run_workers`; None for a process of its own.

        Raises:
            RequestError: when the variable says something else.
        """
        said = os.environ.get(VARIABLE)
        if said is None:
            return None
        number, _, count = said.partition("/")
        if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
            raise RequestError(f"{VARIABLE} is {said!r}: it is set for workers by the command itself, not by hand")
        return cls(int(number), int(count))

    def name(self, host: str) -> str:
        """What this worker is called among those of all hosts: the host's own name where it is alone there."""
        return host if self.count == 1 else f"{host}-worker-{self.number}"


def end_with_parent() -> None:
    """In a worker: end as by SIGTERM once the process that started it is gone, which its standard input tells."""

    def watch() -> None:
        while os.read(_STDIN, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def run_workers(devices: Sequence[str]) -> None:
    """Run this command once for each of ``devices``, which the worker sees as its only one, and wait for all.

    Every line that a worker prints is printed with its number. Whatever ends this, an exception of a signal too, ends all workers.

    Raises:
        RequestError, DataError: with the last line of the first worker that failed, once the others have ended.
    """
    ended: queue.SimpleQueue[_Process] = queue.SimpleQueue()
    workers: list[_Process] = []
    try:
        for number, device in enumerate(devices, 1):
            workers.append(_Process(Worker(number, len(devices)), device, ended))
        for _ in devices:
            worker = ended.get()
            if worker.code != 0:
                raise worker.failure()
    finally:
        _end(workers)


class _Process:
    """A worker's process. Its end is put into ``ended`` after its last line was printed."""

    _printing = threading.Lock()

    def __init__(self, worker: Worker, device: str, ended: queue.SimpleQueue[_Process]) -> None:
        self.worker, self.device, self.last, self._ended = worker, device, "", ended
        said = {VARIABLE: f"{worker.number}/{worker.count}", "CUDA_VISIBLE_DEVICES": device}
        self.process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, **said},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.relay = threading.Thread(target=self._relay, name=f"worker {worker.number}", daemon=True)
        self.relay.start()

    @property
    def code(self) -> int | None:
        """How it ended, None while it runs."""
        return self.process.poll()

    def _relay(self) -> None:
        for line in self.process.stdout or ():
            self.last = line.strip() or self.last
            with self._printing:
                sys.stdout.write(f"worker {self.worker.number}: {line.rstrip()}\n")
        self.process.wait()
        self._ended.put(self)

    def failure(self) -> PathologyError:
        """What its end is for the job."""
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = self.last.removeprefix("error: ") or "it said nothing"
        kind = RequestError if code == RequestError.exit_code else DataError
        return kind(f"worker {self.worker.number} of {self.worker.count} (GPU {self.device}) {how}: {said}")


def _end(workers: Sequence[_Process]) -> None:
    running = [worker for worker in workers if worker.code is None]
    for worker in running:
        worker.process.terminate()
    deadline = time.monotonic() + GRACE
    for worker in running:
        try:
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
    for worker in workers:
        worker.relay.join(1.0)  # a process of its own that outlives it may keep its output open
