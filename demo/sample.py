"""``python -m demo.sample``: the picture that an endpoint of nuclei is tried with, drawn again as it lies in the repository."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from demo.nuclei import new_look, paint
from pipelines.service.hosting.first_request import SAMPLES

SEED = 11


def sample() -> bytes:
    """A PNG of 256 × 256 px at 0.5 µm/px: seeded nuclei of H&E-like kinds, no patient's."""
    generator = np.random.default_rng(SEED)
    picture, _ = paint(new_look(generator), generator)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", optimize=True)
    return content.getvalue()


def main(folder: Path = SAMPLES) -> None:
    """Write it."""
    (folder / "nuclei.png").write_bytes(sample())


if __name__ == "__main__":
    main()
