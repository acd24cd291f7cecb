"""A server over a model that adds up pixels, served as ``pathology-run serve`` serves: ``fake_server.py PORT``."""

import json
import sys
from types import SimpleNamespace

import numpy as np
from pathology.commands.serve import serve
from pathology.contracts.errors import RequestError
from pathology.contracts.media import IMAGES, MAX_BODY
from pathology.images import decode_image, resize_square
from pathology.serving.logs import set_up

LONG = 99
"""For a patch of this colour the answer is longer than an endpoint may send."""


def input_fn(body, content_type):
    return resize_square(decode_image(body, where="the patch", max_pixels=2048 * 2048), 224, where="the patch")


def predict_fn(patches, model):
    if any(not patch.any() for patch in patches):
        raise ValueError("black, and here is a secret")
    return [{"sum": int(np.sum(patch, dtype=np.int64))} for patch in patches]


def media_type(accept):
    if accept not in {"*/*", "application/json"}:
        raise RequestError(f"accept {accept!r}: the answer is application/json")
    return "application/json"


def output_fn(prediction, accept):
    long = prediction["sum"] == 224 * 224 * 3 * LONG
    return json.dumps(prediction).encode().ljust(MAX_BODY + long if long else 0)


if __name__ == "__main__":
    set_up()
    functions = {"input_fn": input_fn, "predict_fn": predict_fn, "media_type": media_type, "output_fn": output_fn}
    task = SimpleNamespace(BATCH=64, BATCH_BYTES=2**24, TAKES=IMAGES, FETCHING=None, **functions)
    serve(task, SimpleNamespace(version="0123456789ab"), int(sys.argv[1]))
