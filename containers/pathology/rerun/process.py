"""The process that answers for a model: only its own code on the path, a short environment, a limit of time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pathology.contracts.artefact import ENCODER_VARIABLE
from pathology.contracts.errors import DataError
from pathology.rerun import driver
from pathology.storage import ROOT_VARIABLE

KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
)
"""What it takes to compute. No credentials, no region, no address of a service: what the model reads is fetched for it."""
FAILED = "failed: "
MAX_LINE = 300
"""Characters of what the process said that a reason takes."""
ENDING_SECONDS = 10
"""From the end of its output to its own."""


@dataclass(frozen=True)
class Question:
    """One item as a request: its ``body`` and what type that is; ``also`` are types of further answers to it."""

    item: str
    body: bytes
    content_type: str
    also: tuple[str, ...] = ()


class Answering:
    """``with Answering(…) as process: process.ask(questions)``; ``name`` is the model's in messages, ``model`` its unpacked folder.

    URIs in requests are looked for below the folder ``uris``. ``accept`` is the type of the answers, ``together`` whether its
    ``predict_fn`` takes a list. ``section`` of the YAML has the resources that it runs on. It is ended ``limit_seconds`` after its start.
    """

    def __init__(
        self,
        name: str,
        model: Path,
        *,
        accept: str,
        together: bool,
        uris: Path,
        encoder: Path | None,
        limit_seconds: float,
        section: str = "compare",
    ) -> None:
        self.name, self.limit_seconds, self.late, self.section = name, limit_seconds, False, section
        self._further: list[dict[str, Path]] = []
        self._command = [sys.executable, driver.__file__, str(model), accept, json.dumps(together)]
        self._environment = {key: os.environ[key] for key in KEPT if key in os.environ} | {
            "PYTHONPATH": str(model / "code"),
            "PYTHONSAFEPATH": "1",  # or the driver's own folder would come first
            "PYTHONDONTWRITEBYTECODE": "1",
            ROOT_VARIABLE: str(uris),
            **({} if encoder is None else {ENCODER_VARIABLE: str(encoder)}),
        }

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._log = (Path(self._folder.name) / "log").open("w+b")
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._timer = threading.Timer(self.limit_seconds, self._end_late)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):  # what was written to a process that had ended
                pipe.close()  # type: ignore[union-attr]
        self._log.close()
        self._folder.cleanup()

    def ready(self) -> None:
        """Wait until the model is loaded. Raises DataError when it cannot be."""
        self._expect("ready")

    def ask(self, questions: Sequence[Question]) -> list[bytes]:
        """The answers, in the order of ``questions``; :meth:`further` has what else was asked for.

        Raises:
            DataError: with the reason that it gave, or the last line that it printed, when it refuses, fails, is killed or takes too long.
        """
        folder = Path(self._folder.name)
        asked: list[dict[str, Any]] = []
        for number, question in enumerate(questions):
            body, answer = folder / f"{number}.body", folder / f"{number}.answer"
            body.write_bytes(question.body)
            others = {accept: folder / f"{number}.{place}.answer" for place, accept in enumerate(question.also)}
            for path in (answer, *others.values()):
                path.unlink(missing_ok=True)
            asked.append(
                {
                    "item": question.item,
                    "body": str(body),
                    "content_type": question.content_type,
                    "answer": str(answer),
                    "also": {accept: str(path) for accept, path in others.items()},
                }
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and what it answers says so
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        self._expect("done")
        self._further = [{accept: Path(path) for accept, path in each["also"].items()} for each in asked]
        return [Path(each["answer"]).read_bytes() for each in asked]

    def further(self, number: int, accept: str) -> bytes:
        """Of the questions that were asked last, the answer of another type to one of them, counted from 0."""
        return self._further[number][accept].read_bytes()

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if said != word:
            raise DataError(self._ended(said.removeprefix(FAILED) if said.startswith(FAILED) else ""))

    def _ended(self, reason: str) -> str:
        """Why it has ended, by the ``reason`` that it gave, if any; it has said the last that it says."""
        try:
            status = self._process.wait(timeout=ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            status = 0
        process = f"the process that ran {self.name}'s artefact"
        if self.late:
            minutes = f"{self.limit_seconds / 60:g} minutes"
            return (
                f"{process} took more than {minutes}: give {self.section}.resources a faster instance or more max-runtime-minutes"
            )
        if status == -signal.SIGKILL:
            return f"{process} was killed, as for want of memory: give {self.section}.resources more memory"
        return f"{process} ended: {reason[:MAX_LINE] or self._last_line() or f'exit status {status}'}"

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:MAX_LINE] if lines else ""

    def _end_late(self) -> None:
        self.late = True
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
