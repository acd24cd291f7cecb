"""A registered version as it is deployed: its archive and its encoder where the service puts them, and what its own code answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from laptop import Laptop
from pathology.contracts.uris import Uri

from pipelines.local.client import LocalSageMaker

ASK = """
import sys
from pathlib import Path
from inference import input_fn, model_fn, output_fn, predict_fn

model = model_fn(Path(sys.argv[1]))
sys.stdout.write(output_fn(predict_fn(input_fn(sys.stdin.read()), model)).decode())
"""


def version_of(laptop: Laptop) -> dict[str, Any]:
    """What Describe answers of the first version."""
    return dict(LocalSageMaker(laptop.state).describe_model_package(ModelPackageName=f"pathology-{laptop.task}/1"))


def deploy(laptop: Laptop, root: Path) -> Path:
    """Put the version's archive, and the encoder that it names, below ``root`` as an endpoint finds them."""
    from pathology.artefact import ADDITIONAL_MODEL
    from pathology.unpacking import unpack

    version = version_of(laptop)
    (container,) = version["InferenceSpecification"]["Containers"]
    (root / "model").mkdir(parents=True)
    unpack(Uri.parse(container["ModelDataUrl"]).under(laptop.state), root / "model")
    shutil.copytree(Uri.parse(version["CustomerMetadataProperties"]["encoder_uri"]).under(laptop.state), root / ADDITIONAL_MODEL)
    return root


def versions_answered(laptop: Laptop, folder: Path) -> set[str]:
    """Every ``model_version`` that an endpoint of the registered version gives: its ping, its answer, its log."""
    from tests.pathology.endpoints import encoded, endpoint

    (folder / "log").mkdir(parents=True)
    server = endpoint(deploy(laptop, folder / "ml"), folder / "log")
    try:
        ping, answer = server.ask("GET", "/ping"), server.post(encoded(np.full((224, 224, 3), 200, np.uint8)))
        assert (ping.status_code, answer.status_code) == (200, 200), answer.text
        logged = server.logged("started")[0]
    finally:
        server.end()
    return {reply["model_version"] for reply in (ping.json(), answer.json(), logged)}


def answer_of_packed_code(laptop: Laptop, folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """What the version's own code says to ``request``, in a process that sees no other."""
    model = deploy(laptop, folder) / "model"
    env = {**os.environ, "PYTHONPATH": str(model / "code"), "PATHOLOGY_URI_ROOT": str(laptop.state)}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(model)], input=json.dumps(request), env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
