"""The tiny encoder, made once: building it takes torch and timm, copying it does not."""

import shutil
from pathlib import Path

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.encoders.tiny import make_tiny_encoder

from tests.made import made_once


def copy_tiny_encoder(folder: Path) -> EncoderManifest:
    """checkpoint.pth and encoder.json into ``folder``, as ``make_tiny_encoder`` writes them; what the manifest says."""
    made = made_once("tiny-encoder", make_tiny_encoder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = EncoderManifest.from_json((made / MANIFEST).read_bytes(), MANIFEST)
    for name in (manifest.checkpoint, MANIFEST):
        shutil.copy2(made / name, folder / name)
    return manifest
