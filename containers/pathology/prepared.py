"""Prepare's two ends: what a person's URIs name is fetched through the store, and what comes of it is handed on by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.prepared import COMPLETE, FILE, PREPARED, Handed
from pathology.contracts.storage import Entry, Store, atomic_write
from pathology.contracts.uris import Uri
from pathology.job import Job

AT_ONCE = 8
"""Objects in flight."""


class Inputs:
    """What a person's URIs name, as files below ``folder``. Messages about these files name the URI that each came from."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._sources: dict[Path, Uri] = {}

    def folder(self, name: str, text: str) -> Path:
        """All objects below a URI, or the one object that it names, in a folder ``name``.

        Raises:
            DataError: when nothing is there.
        """
        uri, target = Uri.parse(text), self._folder / name
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda item: self._store.fetch(item[0].uri, target / item[1]), self._named(uri)))
        self._sources[target] = uri
        return target

    def file(self, name: str, text: str, suffix: str = "") -> Path:
        """The one object that a URI names, or the only one below it whose name ends in ``suffix``.

        Raises:
            DataError: when nothing is there, or several are.
        """
        uri = Uri.parse(text)
        found = [(entry, below) for entry, below in self._named(uri) if below.lower().endswith(suffix)]
        if len(found) != 1:
            raise DataError(f"{uri} should be one {suffix or 'file'} and holds {len(found)}: give the URI of one")
        target = self._folder / name / found[0][1]
        self._store.fetch(found[0][0].uri, target)
        self._sources[target] = found[0][0].uri
        return target

    def _named(self, uri: Uri) -> list[tuple[Entry, str]]:
        single = self._store.entry(uri)
        found = [(single, uri.name)] if single else [(e, e.uri.path[len(uri.path) :].lstrip("/")) for e in self._store.list(uri)]
        if not found:
            raise DataError(f"{uri}: nothing is there: correct the URI, or copy the data there")
        return found

    @contextmanager
    def named_by_uri(self) -> Iterator[None]:
        """Messages of what goes wrong name files by where they come from."""
        try:
            yield
        except DataError as error:
            raise DataError(self.by_uri(str(error))) from None

    def by_uri(self, text: str) -> str:
        """``text`` with URIs in place of the fetched files' paths."""
        for path, uri in sorted(self._sources.items(), key=lambda item: -len(str(item[0]))):
            text = text.replace(str(path), str(uri))
        return text


def publish(store: Store, root: Uri, files: Mapping[str, bytes]) -> Handed:
    """Write ``files``, by name, to the folder below ``root`` that their content names, but for what is there; :data:`COMPLETE` last."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return _publish(store, root, hashes, {name: len(content) for name, content in files.items()}, files.__getitem__)


def publish_files(store: Store, root: Uri, folder: Path, hashes: Mapping[str, str]) -> Handed:
    """As :func:`publish`, of files in ``folder`` whose ``hashes`` (sha256) are known by name."""
    sizes = {name: (folder / name).stat().st_size for name in hashes}
    return _publish(store, root, hashes, sizes, lambda name: (folder / name).read_bytes())


def _publish(
    store: Store, root: Uri, hashes: Mapping[str, str], sizes: Mapping[str, int], content: Callable[[str], bytes]
) -> Handed:
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(hashes.items()))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    folder = root / digest[:32]
    there = {entry.uri.path.removeprefix(f"{folder.path}/"): entry.bytes for entry in store.list(folder)}

    def put(name: str) -> None:
        # Whoever else prepares the same writes the same; what is there in another size is not what its folder's name says.
        if name in there or not store.create(folder / name, content(name)):
            entry = store.entry(folder / name)
            if entry is None or entry.bytes != sizes[name]:
                store.write(folder / name, content(name))

    if COMPLETE not in there or any(there.get(name) != size for name, size in sizes.items()):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(put, hashes))
        store.write(folder / COMPLETE, f"{digest}\n".encode())
    return Handed(uri=f"{folder}/", sha256=digest)


def publish_encoder(store: Store, root: Uri, text: str) -> dict[str, Handed]:
    """``encoder``: the encoder's manifest, by content; ``models``: the folder that it lies in, with the checkpoint's hash.

    Raises:
        DataError: when there is no manifest in the folder ``text``, it is not valid, or the checkpoint that it names is not there.
    """
    uri = Uri.parse(text)
    if store.entry(uri / MANIFEST) is None:
        raise DataError(
            f"{uri} has no {MANIFEST}: infra/datasets/ downloads an encoder with it, python -m pathology.encoders.describe FOLDER "
            "--as NAME writes one for your own"
        )
    content = store.read(uri / MANIFEST)
    manifest: EncoderManifest = EncoderManifest.from_json(content, str(uri / MANIFEST))
    if store.entry(uri / manifest.checkpoint) is None:
        raise DataError(f"{uri} has no {manifest.checkpoint}, which its {MANIFEST} names: copy it there")
    return {"encoder": publish(store, root, {MANIFEST: content}), "models": Handed(uri=f"{uri}/", sha256=manifest.sha256)}


def hand_on(job: Job, handed: Mapping[str, Handed], **values: Mapping[str, str]) -> None:
    """Write prepared.json, and say where everything lies; further ``values`` are for settings of later steps."""
    for name, one in handed.items():
        print(f"{name}: {one.uri}")
    content = {**{name: one.model_dump() for name, one in handed.items()}, **values}
    atomic_write(job.output(PREPARED) / FILE, (json.dumps(content, indent=2) + "\n").encode())
