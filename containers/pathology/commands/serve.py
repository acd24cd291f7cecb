"""The endpoint, outside of any job: ``pathology-run serve`` with the unpacked model in /opt/ml/model and its code beside it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from pathology.contracts.errors import DataError, PathologyError, RequestError
from pathology.job import OPT_ML, ROOT_VARIABLE

TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""A task names its package: ``pathology.tasks.<task>.serving`` serves it. The code of a model holds that of its own task alone."""

HOST, PORT = "0.0.0.0", 8080  # noqa: S104  SageMaker calls from outside of the container
HOST_VARIABLE = "PATHOLOGY_HOST"
"""Which of the machine's addresses to listen on instead of on all."""
PORT_VARIABLE = "PATHOLOGY_PORT"
"""Where to listen instead; with 0 the system chooses a free port. The log names the one that it is."""
DRAIN_SECONDS = 25
"""SageMaker kills 30 s after SIGTERM."""


def task_of(folder: Path) -> ModuleType:
    """The serving module of the unpacked model in ``folder``.

    Raises:
        DataError: when there is no model.
        RequestError: when this code holds no serving module of its task.
    """
    try:
        task = json.loads((folder / "config.json").read_bytes())["task"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no model ({type(error).__name__} at config.json): unpack model.tar.gz there") from None
    module = f"pathology.tasks.{task}.serving"
    if not (isinstance(task, str) and TASK_NAME.fullmatch(task) and _exists(module)):
        raise RequestError(f"models of task {task!r:.80} have no endpoint: this code holds none for it")
    return importlib.import_module(module)


def _exists(module: str) -> bool:
    """Whether there is such a module, without running it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is missing too
        return False


def serve(task: Any, model: Any, port: int, host: str = HOST) -> None:
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
        app, host=host, port=port, log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=75, timeout_graceful_shutdown=DRAIN_SECONDS,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        Server(config).run()


def main() -> None:
    """Load, prove on a made-up item that the model answers, listen."""
    from pathology.serving.app import prove
    from pathology.serving.logs import log, set_up

    set_up()
    port = os.environ.get(PORT_VARIABLE, str(PORT))
    if not port.isdecimal() or not 0 <= int(port) < 2**16:
        raise RequestError(f"{PORT_VARIABLE}={port!r} is not a port: leave it out for {PORT}")
    folder = Path(os.environ.get(ROOT_VARIABLE, OPT_ML)) / "model"
    task = task_of(folder)
    model = task.model_fn(folder)
    prove(task, model)
    log("loaded", task=task.__name__, model_version=model.version)
    serve(task, model, int(port), os.environ.get(HOST_VARIABLE, HOST))


if __name__ == "__main__":
    try:
        main()
    except PathologyError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
