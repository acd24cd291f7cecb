"""Writes slides for tests."""

from pathlib import Path

import cv2
import numpy as np
import tifffile


def write_tiff(path: Path, pixels: np.ndarray, downsamples=(1,), *, compression=None, **tags) -> None:
    """A plain pyramidal TIFF, lossless unless asked otherwise."""
    with tifffile.TiffWriter(path) as tiff:
        for number, factor in enumerate(downsamples):
            size = (pixels.shape[1] // factor, pixels.shape[0] // factor)
            level = cv2.resize(pixels[: size[1] * factor, : size[0] * factor], size, interpolation=cv2.INTER_AREA)
            tiff.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression=compression,
                subfiletype=1 if number else 0,
                metadata=None,
                **tags,
            )
