"""Write encoder.json beside a checkpoint.pth: ``python -m pathology.encoders.describe FOLDER --as NAME``.

A file that a person brings is named by that person, and never verified: several published encoders have the same shapes, and so has
a file of zeros. A published encoder's name comes with its publisher's own hash, which ``infra/datasets/download_h_optimus_0.sh`` asks
for, holds the file to, and gives to this command.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pathology.contracts.encoder import MANIFEST, UNRECORDED, EncoderManifest, EncoderSource
from pathology.contracts.errors import DataError, PathologyError, RequestError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.settings import explain
from pathology.contracts.storage import atomic_write
from pathology.encoders.encoder import (
    H_OPTIMUS_0,
    H_OPTIMUS_0_ARCHITECTURE,
    H_OPTIMUS_0_ARGUMENTS,
    build,
    check_weights,
    read_weights,
)

CHECKPOINT = "checkpoint.pth"
DIMENSION = 1536
SCRIPT = "infra/datasets/download_h_optimus_0.sh"


@dataclass(frozen=True)
class Published:
    """A published encoder: what its name is here, and how it is built."""

    name: str
    architecture: str = H_OPTIMUS_0_ARCHITECTURE
    arguments: dict[str, object] = field(default_factory=lambda: H_OPTIMUS_0_ARGUMENTS)
    dimension: int = DIMENSION

    def manifest(self, name: str, sha256: str, source: EncoderSource | None = None) -> EncoderManifest:
        """The manifest of a checkpoint of these shapes."""
        return EncoderManifest(
            name=name,
            sha256=sha256,
            source=source,
            architecture=self.architecture,
            arguments=dict(self.arguments),
            checkpoint=CHECKPOINT,
            dimension=self.dimension,
        )


PUBLISHED = {"bioptimus/H-optimus-0": Published(H_OPTIMUS_0)}
"""By the repository that states the checkpoint's hash."""


def describe(folder: Path, name: str) -> EncoderManifest:
    """Write encoder.json for ``folder/checkpoint.pth``, named by its owner and not verified, when it has H-optimus-0's shapes.

    Raises:
        RequestError: for a name that is not valid, or that only a publisher's hash gives.
        DataError: when the checkpoint is missing or has other keys or shapes, or is described by its publisher's hash already.
    """
    taken = {_letters(encoder.name): encoder.name for encoder in PUBLISHED.values()}
    if _letters(name) in taken:
        raise RequestError(
            f"--as {name}: only its publisher's hash gives the name {taken[_letters(name)]}: run {SCRIPT} --to {folder}, which fetches "
            "nothing where the published file lies already; give another file another name"
        )
    path = _checkpoint(folder)
    try:
        manifest = PUBLISHED["bioptimus/H-optimus-0"].manifest(name, sha256_of(path))
    except ValidationError as error:
        raise RequestError(explain(error, "--as")) from None
    existing = _existing(folder)
    if existing and existing.sha256 == manifest.sha256 and existing.verified:
        raise DataError(f"{folder}: {MANIFEST} names this checkpoint {existing.name}, {existing.origin}: remove it to rename it")
    check_weights(read_weights(path), build(manifest), path.name)
    atomic_write(folder / MANIFEST, manifest.to_json())
    return manifest


def record(folder: Path, source: EncoderSource) -> EncoderManifest:
    """Write encoder.json for the published encoder of ``source``, whose hash ``folder/checkpoint.pth`` must have.

    Where encoder.json describes that checkpoint already, the checkpoint itself need not be there: its origin is added.

    Raises:
        RequestError: for a repository of which this code does not know how the encoder is built.
        DataError: when the checkpoint is missing or another one, or encoder.json says of it other than its publisher does.
    """
    if source.repository not in PUBLISHED:
        raise RequestError(
            f"--repository {source.repository}: this code knows {', '.join(PUBLISHED)}: describe it with --as NAME"
        )
    encoder = PUBLISHED[source.repository]
    manifest = encoder.manifest(encoder.name, source.sha256, source)
    existing = _existing(folder)
    described = existing is not None and existing.sha256 == source.sha256
    if not described or (folder / CHECKPOINT).is_file():
        path = _checkpoint(folder)
        actual = sha256_of(path)
        if actual != source.sha256:
            raise DataError(
                f"{path.name}: its sha256 is {actual[:12]}… and {source.repository} states {source.sha256[:12]}…: fetch it again"
            )
    if existing and described:
        _check_same(existing, manifest, folder)
        manifest = manifest.model_copy(update={"remark": "" if existing.remark == UNRECORDED else existing.remark})
    else:
        check_weights(read_weights(folder / CHECKPOINT), build(manifest), CHECKPOINT)
    atomic_write(folder / MANIFEST, manifest.to_json())
    return manifest


def _letters(name: str) -> str:
    """A name without what people write differently in it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _checkpoint(folder: Path) -> Path:
    path = folder / CHECKPOINT
    if not path.is_file():
        raise DataError(f"{folder}: no {CHECKPOINT} there: download it from the model's page first")
    return path


def _existing(folder: Path) -> EncoderManifest | None:
    """The encoder.json that lies there; None where there is none that can be read, which is then replaced."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest: EncoderManifest = EncoderManifest.from_json(path.read_bytes(), str(path))
    except DataError as error:
        print(f"{error}: it is replaced", file=sys.stderr)
        return None
    return manifest


def _check_same(existing: EncoderManifest, manifest: EncoderManifest, folder: Path) -> None:
    """Refuse another name or another preparation of tiles: features made with it would be lost, or mixed with others."""
    for name in sorted(EncoderManifest.model_fields.keys() - {"source", "placeholder", "remark"}):
        old, new = getattr(existing, name), getattr(manifest, name)
        if old != new:
            raise DataError(
                f"{folder / MANIFEST}: it says {name} {old!r} of the published checkpoint, and its publisher {new!r}: keep it for the "
                "features made with it, and put the published encoder into a folder of its own"
            )


def _asked(arguments: argparse.Namespace) -> EncoderManifest:
    stated = (arguments.repository, arguments.revision, arguments.sha256)
    if arguments.name and not any(stated):
        return describe(arguments.folder, arguments.name)
    if arguments.name or not all(stated):
        raise RequestError(
            f"give --as NAME, a name of your own, since shapes give none; H-optimus-0's is given by {SCRIPT}, "
            "with --repository, --revision and --sha256"
        )
    try:
        source = EncoderSource(repository=arguments.repository, revision=arguments.revision, sha256=arguments.sha256)
    except ValidationError as error:
        raise RequestError(explain(error, "source")) from None
    return record(arguments.folder, source)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line; 0, or the exit code of what went wrong after one line about it."""
    parser = argparse.ArgumentParser(
        prog="python -m pathology.encoders.describe", description="Write encoder.json for a checkpoint.pth"
    )
    parser.add_argument("folder", type=Path, help="the folder that holds checkpoint.pth")
    parser.add_argument("--as", dest="name", help="your name for it: small letters, digits, - and .; it is not verified")
    stated = parser.add_argument_group("of a published encoder", f"what the publisher states of the file; {SCRIPT} gives them")
    stated.add_argument("--repository", help="the repository that states the hash")
    stated.add_argument("--revision", help="its commit, 40 hexadecimal digits")
    stated.add_argument("--sha256", help="the hash that it states of checkpoint.pth")
    given = parser.parse_args(arguments)
    try:
        manifest = _asked(given)
    except PathologyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{given.folder / MANIFEST}: {manifest.name} ({manifest.origin}), sha256 {manifest.sha256}")
    if not manifest.verified:
        print(
            f"taken as H-optimus-0's: tiles of {manifest.pixels} px at {manifest.mpp} microns per pixel, mean {manifest.mean}, "
            f"std {manifest.std}: correct them in {MANIFEST} before the first run where this encoder's are others"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
