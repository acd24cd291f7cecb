"""Which encoder a folder holds: its manifest, at the top or one folder below."""

from __future__ import annotations

from pathlib import Path

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError


def find_manifest(folder: Path, sha256: str | None = None) -> tuple[Path, EncoderManifest]:
    """The only encoder.json in ``folder`` or in a folder right below it: the folder it lies in, and what it says. Where several
    encoders lie side by side, ``sha256`` of the checkpoint says which is meant.

    Raises:
        DataError: when there is none, more than one, or it is not valid.
    """
    paths = [path for path in (folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))) if path.is_file()]
    if not paths:
        raise DataError(
            f"{folder}: no {MANIFEST} there: infra/datasets/ downloads an encoder with it, python -m pathology.encoders.describe "
            "FOLDER --as NAME writes one for your own"
        )
    if sha256 is not None:
        for path in paths:
            manifest = EncoderManifest.from_json(path.read_bytes(), f"{path.parent.name}/{MANIFEST}")
            if manifest.sha256 == sha256:
                return path.parent, manifest
        names = ", ".join(path.parent.name for path in paths)
        raise DataError(f"{folder} holds {names} and no encoder with a checkpoint of sha256 {sha256[:12]}…: put that one there")
    if len(paths) > 1 and paths[0].parent != folder:
        names = ", ".join(path.parent.name for path in paths)
        raise DataError(f"{folder}: several encoders ({names}): name the folder of one")
    return paths[0].parent, EncoderManifest.from_json(paths[0].read_bytes(), f"{paths[0].parent.name}/{MANIFEST}")
