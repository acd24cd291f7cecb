"""The encoder that a job works with."""

from __future__ import annotations

from pathlib import Path

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError
from pathology.encoders.manifest import find_manifest
from pathology.job import Job


def named_encoder(job: Job) -> EncoderManifest:
    """The manifest in the job's input ``encoder``, the one that Prepare read.

    Raises:
        DataError: when it is not valid.
    """
    manifest: EncoderManifest = EncoderManifest.from_json(job.file("encoder", MANIFEST).read_bytes(), MANIFEST)
    return manifest


def find_encoder(job: Job) -> tuple[Path, EncoderManifest]:
    """The encoder in the job's input ``models``, the one whose manifest is its input ``encoder``: several may be staged side by side.

    Raises:
        DataError: as :func:`find_manifest`, or when the manifest beside the checkpoint is another than the one prepared with.
    """
    meant = named_encoder(job)
    folder, manifest = find_manifest(job.input("models"), meant.sha256)
    if manifest != meant:
        changed = [name for name, value in meant.model_dump().items() if value != manifest.model_dump()[name]]
        raise DataError(
            f"encoder {meant.name}: the {MANIFEST} beside its checkpoint is another than the one that was prepared with, in "
            f"{', '.join(changed)}: start again"
        )
    return folder, manifest
