import io
import json
import logging

import pytest
from pathology.serving.logs import log, set_up


@pytest.fixture
def lines():
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    set_up(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before, level


def test_a_line_is_an_object_with_its_fields(lines):
    log("request", status=200, ms=1.5, reason="two\nlines")
    (entry,) = lines()
    assert entry.pop("time").endswith("+00:00")
    assert entry == {"level": "info", "event": "request", "status": 200, "ms": 1.5, "reason": "two\nlines"}


def test_of_an_exception_there_are_its_type_and_frames_and_not_its_text(lines):
    try:
        raise ValueError("Jane Doe, 1970")
    except ValueError as error:
        log("request", level=logging.ERROR, error=error)
    (entry,) = lines()
    assert entry["exception"] == "ValueError"
    assert entry["frames"][0].endswith("test_of_an_exception_there_are_its_type_and_frames_and_not_its_text")
    assert "Jane" not in json.dumps(entry)


def test_other_loggers_speak_json_too(lines):
    logging.getLogger("uvicorn.error").warning("Shutting %s", "down")
    assert lines()[0]["event"] == "Shutting down"
