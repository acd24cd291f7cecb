"""Write encoder.json for a downloaded H-optimus-0: ``python -m pathology.encoders.describe FOLDER``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError, PathologyError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.storage import atomic_write
from pathology.encoders.encoder import (
    H_OPTIMUS_0,
    H_OPTIMUS_0_ARCHITECTURE,
    H_OPTIMUS_0_ARGUMENTS,
    build,
    check_weights,
    read_weights,
)

DIMENSION = 1536


def describe(folder: Path) -> EncoderManifest:
    """Check ``folder/checkpoint.pth`` against H-optimus-0's keys and shapes, and write encoder.json beside it.

    Raises:
        DataError: when the checkpoint is missing or is not H-optimus-0's.
    """
    path = folder / "checkpoint.pth"
    if not path.is_file():
        raise DataError(f"{folder}: no checkpoint.pth there: download it from the model's page first")
    manifest = EncoderManifest(
        name=H_OPTIMUS_0,
        architecture=H_OPTIMUS_0_ARCHITECTURE,
        arguments=H_OPTIMUS_0_ARGUMENTS,
        sha256=sha256_of(path),
        dimension=DIMENSION,
        published=True,
    )
    check_weights(read_weights(path), build(manifest), path.name)
    atomic_write(folder / MANIFEST, manifest.to_json())
    return manifest


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line; 0, or the exit code of what went wrong after one line about it."""
    parser = argparse.ArgumentParser(description="Write encoder.json for a downloaded H-optimus-0 checkpoint.pth")
    parser.add_argument("folder", type=Path, help="the folder that holds checkpoint.pth")
    folder = parser.parse_args(arguments).folder
    try:
        manifest = describe(folder)
    except PathologyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{folder / MANIFEST}: {manifest.name}, sha256 {manifest.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
