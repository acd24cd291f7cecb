"""What a dataset is right now, in 16 digits: so that a changed table, slide or patch is never answered from the cache."""

from __future__ import annotations

import hashlib
from typing import Any

from pathology.contracts.errors import RequestError
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri

PARAMETER = "DatasetVersion"
_PARTS = ("SlidesUri", "ManifestUri", "LabelsUri", "AnnotationsUri", "ImagesUri", "DatasetUri", "EncoderUri")
"""Parameters that name what a person put there; a pipeline has those of its task."""


def fingerprint(store: Store, values: dict[str, Any]) -> str | None:
    """A hash over names, sizes and marks (ETag or time) of what the dataset's parameters name; None when they name none.

    What lies on EFS cannot be seen from outside a job: its manifest stands for it.
    """
    digest = hashlib.sha256()
    seen = False
    for part in _PARTS:
        value = str(values.get(part) or "")
        if not value.startswith("s3://"):
            continue
        uri = Uri.parse(value)
        own = store.entry(uri)
        for entry in [own] if own else store.list(uri):
            seen = True
            digest.update(f"{part}\0{entry.uri}\0{entry.bytes}\0{entry.mark}\n".encode())
    return digest.hexdigest()[:16] if seen else None


def versioned(store: Store, values: dict[str, str], defaults: dict[str, Any]) -> dict[str, str]:
    """``values`` with ``DatasetVersion`` filled in where the pipeline has it and nobody gave it."""
    if PARAMETER not in defaults or PARAMETER in values:
        return values
    try:
        found = fingerprint(store, {**defaults, **values})
    except Exception as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"the dataset cannot be listed to see whether it changed ({error}); give --param {PARAMETER}=<yours> to go on without"
        ) from None
    return {**values, PARAMETER: found} if found else values
