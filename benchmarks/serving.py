"""What HTTP costs an endpoint: ``python -m benchmarks.serving``.

``fraction_of_in_process`` is patches/s over real HTTP with 32 clients at once, over those of the same functions called in process on
batches: with one thread of torch or with all, whichever is faster, since on a busy machine its threads wait for one another. The
server is ``pathology-run serve`` over a packed model with the tiny encoder; its clients share the machine with it. All are
measured in turns, medians of a few takes.
"""

from __future__ import annotations

import io
import json
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.measure import REPOSITORY, interleaved, print_figures

HEADERS = {"Content-Type": "image/png"}
BATCH = 32
START_SECONDS = ANSWER_SECONDS = 300
"""Longer than anything takes: only what hangs is given up."""


def make_root(root: Path) -> Path:
    """What an endpoint finds in /opt/ml: a packed model of random weights, its code, and the tiny encoder; the model's folder."""
    from pathology.artefact import ADDITIONAL_MODEL, EncoderIdentity, save_artefact
    from pathology.contracts.code import closure
    from pathology.encoders.tiny import make_tiny_encoder
    from pathology.patches.artefact import Validation, pack_weights
    from pathology.patches.head import Head
    from pathology.serving.code import endpoint_code
    from pathology.tasks.mhist import serving
    from pathology.tasks.mhist.artefact import MhistConfig

    manifest = make_tiny_encoder(root / ADDITIONAL_MODEL)
    weight = np.random.default_rng(0).normal(size=manifest.dimension)
    files, head, encoder_weights = pack_weights(Head(weight, 0.0), {})
    config = MhistConfig(
        labels=("HP", "SSA"),
        threshold=0.5,
        pixels=manifest.pixels,
        mean=manifest.mean,
        std=manifest.std,
        encoder=EncoderIdentity.of(manifest),
        fine_tuning="linear",
        rank=1,
        blocks=1,
        head=head,
        encoder_weights=encoder_weights,
        validation=Validation(patches=0, positives=0, loss=0, accuracy=0, auroc=0, epoch=0),
        training={},
        inputs={},
        serving_code=closure(serving.__name__).hash,
        versions={},
    )
    save_artefact(root / "model", config, files, endpoint_code(serving.__name__), serving.__name__)
    return root / "model"


@contextmanager
def endpoint(root: Path, log: Path) -> Iterator[int]:
    """A started endpoint over what :func:`make_root` made; the port that the system chose for it.

    Raises:
        RuntimeError: with the log, when it does not start.
    """
    environment = {**os.environ, "PATHOLOGY_ROOT": str(root), "PATHOLOGY_PORT": "0"}
    command = [sys.executable, str(REPOSITORY / "containers" / "pathology-run"), "serve"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            until = time.monotonic() + START_SECONDS
            while not (ports := logged("port", log)):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the endpoint did not start: {log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield ports[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def logged(field: str, log: Path) -> list[int]:
    """What the whole lines of a server's log say under ``field``, in order."""
    lines = (line for line in log.read_text().splitlines(keepends=True) if line.startswith("{") and line.endswith("\n"))
    return [entry[field] for entry in map(json.loads, lines) if field in entry]


def ask(port: int, bodies: list[bytes], clients: int) -> list[dict[str, object]]:
    """Send all with so many clients at once, each on a connection that it keeps; the answers in the order of ``bodies``."""
    answers: list[dict[str, object]] = [{}] * len(bodies)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(bodies)):
        waiting.put(number)

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                connection.close()
                return
            connection.request("POST", "/invocations", bodies[number], HEADERS)
            answers[number] = json.loads(connection.getresponse().read())

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def batch_sizes(log: Path) -> list[int]:
    """The size of the batch that each answered request was in."""
    return logged("batch", log)


def patches(count: int) -> list[bytes]:
    """PNGs of 224 px, smooth enough to be of a real patch's size."""
    from PIL import Image

    contents = []
    for seed in range(count):
        coarse = np.random.default_rng(seed).integers(0, 256, (56, 56, 3), np.uint8)
        raw = io.BytesIO()
        Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC).save(raw, "PNG")
        contents.append(raw.getvalue())
    return contents


def serving(
    count: Annotated[int, typer.Option("--count", help="Patches in a take.", min=32)] = 640,
    clients: Annotated[int, typer.Option("--clients", help="Requests at one time.", min=1)] = 32,
    repeats: Annotated[int, typer.Option("--repeats", help="Takes of each, of which the median counts.", min=1)] = 5,
) -> None:
    """Patches/s over HTTP and in process."""
    import torch
    from pathology.artefact import ADDITIONAL_MODEL
    from pathology.tasks.mhist import serving

    bodies = patches(count)
    with tempfile.TemporaryDirectory() as folder:
        root, log = Path(folder) / "ml", Path(folder) / "log"
        model = serving.model_fn(make_root(root), root / ADDITIONAL_MODEL)
        expected: list[dict[str, object]] = []
        answers: list[dict[str, object]] = []

        def in_process() -> None:
            expected.clear()
            for start in range(0, count, BATCH):
                items = [serving.input_fn(body, HEADERS["Content-Type"]) for body in bodies[start : start + BATCH]]
                expected.extend(json.loads(serving.output_fn(one)) for one in serving.predict_fn(items, model))

        def over_http() -> None:
            answers[:] = ask(port, bodies, clients)

        def with_threads(number: int) -> Callable[[], None]:
            def work() -> None:
                torch.set_num_threads(number)
                in_process()

            return work

        threads = {f"in_process_{number}": with_threads(number) for number in sorted({1, torch.get_num_threads()})}
        with endpoint(root, log) as port:
            ask(port, bodies[:BATCH], clients)
            seconds = interleaved({"http": over_http, **threads}, repeats)
        sizes = batch_sizes(log)
    off = max(
        abs(float(str(one["probability"])) - float(str(two["probability"]))) for one, two in zip(answers, expected, strict=True)
    )
    speed = {name: count / taken for name, taken in seconds.items()}
    http = speed.pop("http")
    print_figures(
        {
            "cores": os.cpu_count() or 1,
            "clients": clients,
            **{f"patches_per_s_{name}": value for name, value in speed.items()},
            "patches_per_s_http": http,
            "fraction_of_in_process": http / max(speed.values()),
            "mean_batch": statistics.mean(sizes),
            "largest_difference_of_probability": off,
        }
    )


if __name__ == "__main__":
    typer.run(serving)
