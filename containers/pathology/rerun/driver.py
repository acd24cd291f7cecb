"""Run by :mod:`pathology.rerun.process` in the process that answers, with nothing but a model's own code on the path: no import of ours.

``driver.py MODEL ACCEPT TOGETHER``: loads the unpacked MODEL by the ``inference`` of its code. Each line of standard input is a JSON list
of questions, each with an ``item``, the path of its ``body``, its ``content_type``, the path for its ``answer``, and in ``also`` paths for
further answers by their types; where TOGETHER is ``true`` they go through ``predict_fn`` together, else one by one. ``ready``, and ``done``
after each line, say how far it is, and ``failed: `` with a reason that it is over. What the model's code prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

EXPECTED = ("DataError", "RequestError")
"""Errors of a model's code whose text is the whole line."""


def said(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    expected = any(kind.__name__ in EXPECTED for kind in type(error).__mro__)
    return text if expected and text else f"{type(error).__name__}: {text}"


def parsed(inference: Any, question: dict[str, Any]) -> Any:
    """What ``predict_fn`` takes of a question."""
    try:
        return inference.input_fn(Path(question["body"]).read_bytes(), question["content_type"])
    except Exception as error:
        raise ValueError(f"{question['item']}: {said(error)}") from error


def answer(inference: Any, model: Any, questions: list[dict[str, Any]], accept: str, together: bool) -> None:
    """Write the answer of each question where it says."""
    items = [parsed(inference, question) for question in questions]
    found = inference.predict_fn(items, model) if together else [inference.predict_fn(item, model) for item in items]
    for question, prediction in zip(questions, found, strict=True):
        Path(question["answer"]).write_bytes(inference.output_fn(prediction, accept))
        for other, path in question["also"].items():
            Path(path).write_bytes(inference.output_fn(prediction, other))


def work(folder: str, accept: str, together: bool, say: Callable[[str], None]) -> None:
    """Answer until standard input ends."""
    with suppress(OSError):  # where there is no such file; with it this process is ended for want of memory, and not the job
        Path("/proc/self/oom_score_adj").write_text("1000")
    inference: Any = importlib.import_module("inference")
    if Path(inference.__file__).resolve().parent != (Path(folder) / "code").resolve():
        raise RuntimeError(f"the code that was found is {inference.__file__} and not the model's own")
    model = inference.model_fn(folder)
    say("ready")
    for line in sys.stdin:
        answer(inference, model, json.loads(line), accept, together)
        say("done")


def main() -> int:
    """Its exit status."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        work(sys.argv[1], sys.argv[2], sys.argv[3] == "true", lambda word: print(word, file=answers))
    except Exception as error:
        traceback.print_exc()
        print(f"failed: {said(error)}", file=answers)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
