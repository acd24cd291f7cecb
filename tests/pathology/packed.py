"""Artefacts as the service packs them, and as they were packed before they held a list of what the model learnt from."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path


def pack(model: Path, folder: Path) -> Path:
    """``folder`` with the files of ``model`` as model.tar.gz."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(model, ".")
    return folder


def without_baseline(packed: Path, folder: Path) -> Path:
    """The artefact in ``packed`` as an older one, which holds no baseline and knows of none."""
    from pathology.contracts.artefact import CONFIG
    from pathology.unpacking import unpack

    unpack(packed / "model.tar.gz", folder / "model")
    (folder / "model" / "baseline.safetensors").unlink()
    config = json.loads((folder / "model" / CONFIG).read_text())
    del config["baseline"]
    (folder / "model" / CONFIG).write_text(json.dumps(config))
    return pack(folder / "model", folder / "packed")


def without_drift_baseline(packed: Path, folder: Path) -> Path:
    """The artefact in ``packed`` as an older one: no statistics of what it learnt from, and a configuration that knows of none."""
    from pathology.contracts.artefact import CONFIG, DRIFT_BASELINE
    from pathology.unpacking import unpack

    unpack(packed / "model.tar.gz", folder / "model")
    (folder / "model" / DRIFT_BASELINE).unlink()
    config = json.loads((folder / "model" / CONFIG).read_text())
    del config["drift_baseline"]
    (folder / "model" / CONFIG).write_text(json.dumps(config))
    return pack(folder / "model", folder / "packed")


def without_list(packed: Path, folder: Path) -> Path:
    """The artefact in ``packed`` as an older one: no list, and a configuration that knows of none."""
    from pathology.contracts.artefact import CONFIG, LEARNED_FROM
    from pathology.unpacking import unpack

    unpack(packed / "model.tar.gz", folder / "model")
    (folder / "model" / LEARNED_FROM).unlink()
    config = json.loads((folder / "model" / CONFIG).read_text())
    del config["learned_from"]
    (folder / "model" / CONFIG).write_text(json.dumps(config))
    return pack(folder / "model", folder / "packed")
