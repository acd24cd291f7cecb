"""Embeddings computed once: kept by the image bytes' sha256, the encoder's and how patches are prepared for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pathology.contracts.hashes import sha256_of
from pathology.contracts.storage import atomic_write
from pathology.encoders.encoder import Encoder

ALGORITHM_VERSION = 2
"""Counts up when patches come to be read, resized or embedded otherwise: embeddings kept before are then recomputed. 2: the encoder's
normalisation is merged into its first convolution."""
PART = 2048
"""Patches of one file: what a restart loses at most."""


class PatchSource(Protocol):
    """Patches by number, (side, side, 3) uint8."""

    def __getitem__(self, index: int, /) -> np.ndarray:
        """One patch."""
        ...


def cache_folder(root: Path, encoder: Encoder) -> Path:
    """Where embeddings of ``encoder``, as it computes here, lie below ``root``."""
    manifest = encoder.manifest
    what = [
        ALGORITHM_VERSION,
        manifest.sha256,
        manifest.architecture,
        manifest.arguments,
        manifest.pixels,
        manifest.mean,
        manifest.std,
        encoder.arithmetic,
    ]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return root / f"embeddings-{digest[:16]}"


def embed_patches(encoder: Encoder, patches: PatchSource, hashes: Sequence[str], root: Path, batch_size: int = 0) -> np.ndarray:
    """Embeddings (N, D) float16 of N patches; ``hashes`` are the sha256 of their files, which are read only where unknown.

    Files below ``root`` appear whole; one that cannot be read is reported and its patches are embedded again.

    Raises:
        DataError: for a patch that cannot be read.
    """
    folder = cache_folder(root, encoder)
    known = _read(folder, encoder.dimension)
    first = {sha256: index for index, sha256 in reversed(list(enumerate(hashes))) if sha256 not in known}
    missing = sorted(first.values())
    if len(hashes) > len(missing):
        print(f"embeddings: {len(hashes) - len(missing)} of {len(hashes)} patches are known already")
    for start in range(0, len(missing), PART):
        part = missing[start : start + PART]
        embeddings = embed_all(encoder, patches, part, encoder.batch(batch_size))
        names = [hashes[index] for index in part]
        _write(folder, names, embeddings)
        known.update(zip(names, embeddings, strict=True))
        print(f"embeddings: {start + len(part)} of {len(missing)} patches computed")
    return np.stack([known[sha256] for sha256 in hashes])


def embed_all(encoder: Encoder, patches: PatchSource, indices: Sequence[int], batch_size: int) -> np.ndarray:
    """Embeddings (n, D) float16 of the patches at ``indices``; the next batch is read while the device works on this one."""
    batches = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]

    def read(batch: Sequence[int]) -> np.ndarray:
        return np.stack([patches[index] for index in batch])

    embeddings = []
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = reader.submit(read, batches[0])
        for number in range(len(batches)):
            tiles = ahead.result()
            if number + 1 < len(batches):
                ahead = reader.submit(read, batches[number + 1])
            embeddings.append(encoder.embed(tiles))
    return np.concatenate(embeddings)


def _write(folder: Path, hashes: Sequence[str], embeddings: np.ndarray) -> None:
    names = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), 32)
    content = save({"sha256": names, "embeddings": np.ascontiguousarray(embeddings)})
    atomic_write(folder / f"{hashlib.sha256(content).hexdigest()}.safetensors", content)


def _read(folder: Path, dimension: int) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            if sha256_of(path) != path.stem:
                raise ValueError("its content has another sha256 than its name")
            part = load_file(path)
            names, embeddings = part["sha256"], part["embeddings"]
        except (SafetensorError, KeyError, OSError, ValueError) as error:
            print(f"embeddings: {path.name} cannot be read ({' '.join(str(error).split())[:100]}) and is recomputed")
            continue
        if names.shape != (len(embeddings), 32) or embeddings.shape[1:] != (dimension,):
            print(f"embeddings: {path.name} has another shape and is recomputed")
            continue
        known.update(zip((bytes(name).hex() for name in names), embeddings, strict=True))
    return known
