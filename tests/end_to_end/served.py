"""A registered version as it is deployed: its archive and its encoder where the service puts them, and what its own code answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from laptop import Laptop
from pathology.contracts.uris import Uri

from pipelines.local.client import LocalSageMaker
from tests.pathology.endpoints import Server, encoded, endpoint


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


@contextmanager
def served(laptop: Laptop, folder: Path) -> Iterator[Server]:
    """A started endpoint of the registered version, by its own code; it reads from the account's folders."""
    (folder / "log").mkdir(parents=True)
    server = endpoint(deploy(laptop, folder / "ml"), folder / "log", PATHOLOGY_URI_ROOT=str(laptop.state))
    try:
        yield server
    finally:
        server.end()


def versions_answered(laptop: Laptop, folder: Path) -> set[str]:
    """Every ``model_version`` that an endpoint of the registered version gives: its ping, its answer, its log."""
    with served(laptop, folder) as server:
        ping, answer = server.ask("GET", "/ping"), server.post(encoded(np.full((224, 224, 3), 200, np.uint8)))
        assert (ping.status_code, answer.status_code) == (200, 200), answer.text
        logged = server.logged("started")[0]
    return {reply["model_version"] for reply in (ping.json(), answer.json(), logged)}
