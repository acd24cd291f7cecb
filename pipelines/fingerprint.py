"""What a dataset is right now, in 16 digits: so that a changed table, slide or patch is never answered from the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pathology.contracts.errors import RequestError
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri

PARAMETER = "DatasetVersion"


def fingerprint(store: Store, values: Mapping[str, Any], data: Sequence[str]) -> str | None:
    """A hash over names, sizes and marks (ETag or time) of what the parameters ``data`` name; None when they name none.

    What lies on EFS cannot be seen from outside a job: its manifest stands for it.
    """
    digest = hashlib.sha256()
    seen = False
    for part in data:
        value = str(values.get(part) or "")
        if not value.startswith("s3://"):
            continue
        uri = Uri.parse(value)
        single = store.entry(uri)
        for entry in [single] if single else store.list(uri):
            seen = True
            digest.update(f"{part}\0{entry.uri}\0{entry.bytes}\0{entry.mark}\n".encode())
    return digest.hexdigest()[:16] if seen else None


def versioned(store: Store, values: dict[str, str], defaults: Mapping[str, Any], data: Sequence[str]) -> dict[str, str]:
    """``values`` with ``DatasetVersion`` filled in where the pipeline has it and nobody gave it.

    ``defaults`` are those of the pipeline as it is deployed, ``data`` the parameters that name data in this code.

    Raises:
        RequestError: when the data cannot be listed, or the deployed pipeline has not all of those parameters.
    """
    if PARAMETER not in defaults or PARAMETER in values:
        return values
    if missing := [name for name in data if name not in defaults]:
        raise RequestError(
            f"the deployed pipeline has no parameter {missing[0]}, so that a change of the data would go unseen: upsert it, or give "
            f"--param {PARAMETER}=<yours>"
        )
    try:
        digest = fingerprint(store, {**defaults, **values}, data)
    except Exception as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"the dataset cannot be listed to see whether it changed ({error}); give --param {PARAMETER}=<yours> to go on without"
        ) from None
    return {**values, PARAMETER: digest} if digest else values
