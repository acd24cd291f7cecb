"""The endpoint, outside of any job: ``pathology-run serve`` with the unpacked model in /opt/ml/model and its code beside it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from pathology.contracts.errors import DataError, PathologyError, RequestError
from pathology.job import OPT_ML, ROOT_VARIABLE

TASKS = {"mhist": "pathology.models.serve_mhist", "lizard": "pathology.models.serve_lizard"}
"""Tasks whose prediction takes batches of pictures. By name: the model's code holds its own task's module and no other."""

HOST, PORT = "0.0.0.0", 8080  # noqa: S104  SageMaker calls from outside of the container
PORT_VARIABLE = "PATHOLOGY_PORT"
"""Where to listen instead; with 0 the system chooses a free port. The log names the one that it is."""
DRAIN_SECONDS = 25
"""SageMaker kills 30 s after SIGTERM."""


def task_of(folder: Path) -> ModuleType:
    """The serving module of the unpacked model in ``folder``.

    Raises:
        DataError: when there is no model.
        RequestError: when its task is not one of those served.
    """
    try:
        task = json.loads((folder / "config.json").read_bytes())["task"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no model ({type(error).__name__} at config.json): unpack model.tar.gz there") from None
    if not isinstance(task, str) or task not in TASKS:
        raise RequestError(f"models of task {task!r} have no endpoint, only {', '.join(TASKS)}")
    return importlib.import_module(TASKS[task])


def serve(task: Any, model: Any, port: int) -> None:
    """Answer until SIGTERM, then finish what has come in and exit with 0."""
    import uvicorn

    from pathology.serving.app import make_app
    from pathology.serving.logs import log

    class Server(uvicorn.Server):
        """Logs its port as soon as it listens."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            log("listening", port=self.servers[0].sockets[0].getsockname()[1])

    # uvicorn drains, then raises the signal again for whoever was there before it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = make_app(task, model, model.version)
    config = uvicorn.Config(
        app, host=HOST, port=port, log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=75, timeout_graceful_shutdown=DRAIN_SECONDS,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        Server(config).run()


def main() -> None:
    """Load, prove on a white picture that the model answers, listen."""
    import numpy as np

    from pathology.serving.logs import log, set_up

    set_up()
    port = os.environ.get(PORT_VARIABLE, str(PORT))
    if not port.isdecimal() or not 0 <= int(port) < 2**16:
        raise RequestError(f"{PORT_VARIABLE}={port!r} is no port: leave it out for {PORT}")
    folder = Path(os.environ.get(ROOT_VARIABLE, OPT_ML)) / "model"
    task = task_of(folder)
    model = task.model_fn(folder)
    (answer,) = task.predict_fn([np.full((task.SIDE, task.SIDE, 3), 255, np.uint8)], model)
    task.output_fn(answer)
    log("loaded", task=task.__name__, model_version=model.version)
    serve(task, model, int(port))


if __name__ == "__main__":
    try:
        main()
    except PathologyError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
