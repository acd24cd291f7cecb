"""Prepare jobs in temporary folders: data in a store of folders, and what is handed on gathered in one folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

from msi_jobs import MANIFEST, processing_job
from pathology.contracts.settings import Settings
from pathology.contracts.storage import FolderStore, Store
from pathology.contracts.uris import Uri
from pathology.job import Job

ENCODER, PREPARED = "s3://bucket/encoder", "s3://bucket/prepared"


def put(uris: Path, text: str, source: Path) -> None:
    """Put a file or a folder where a URI says, as a link; what was there is another's."""
    target = Uri.parse(text).under(uris)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    target.symlink_to(source.absolute())


def write_encoder(store: Store) -> None:
    """A manifest, and a checkpoint that nobody opens here."""
    if store.entry(Uri.parse(ENCODER) / "encoder.json") is None:
        store.write(Uri.parse(ENCODER) / "encoder.json", MANIFEST.to_json())
        store.write(Uri.parse(ENCODER) / MANIFEST.checkpoint, b"weights")


def run_prepare(
    main: Callable[[Job], None],
    root: Path,
    uris: Path,
    settings: type[Settings],
    data: Mapping[str, Path],
    store: Store | None = None,
    **values,
) -> dict[str, Path]:
    """Run a Prepare command whose ``data`` lie at s3://bucket/<name>; copies of the folders that it made, by name.

    prepared.json is in ``root / "prepared"``. ``store`` is the command's own, where that is not the folder ``uris``.
    """
    store = store or FolderStore(uris)
    write_encoder(store)
    for name, source in data.items():
        put(uris, f"s3://bucket/{name}", source)
    given = {**{name: f"s3://bucket/{name}" for name in data}, "encoder": ENCODER, "prepared": PREPARED, **values}
    job = processing_job(root, settings(**given), {}, ("prepared",))
    with patch.dict(os.environ, {"PATHOLOGY_URI_ROOT": str(uris)}):
        main(job)
    made = {name: Uri.parse(one["uri"]) for name, one in handed_on(root).items() if one["uri"].startswith(PREPARED)}
    for name, uri in made.items():
        for entry in store.list(uri):
            store.download(entry.uri, root / "handed" / name / entry.uri.name)
    return {name: root / "handed" / name for name in made}


def handed_on(root: Path) -> dict[str, dict[str, str]]:
    """prepared.json."""
    return json.loads((root / "prepared" / "prepared.json").read_text())


def gather(folder: Path, handed: Mapping[str, Path], *names: str) -> Path:
    """The files of several folders in one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for path in handed[name].iterdir():
            if path.name != "COMPLETE":
                shutil.copy(path, folder)
    return folder
