"""Pictures to nuclei: windows of all of them through the network together, maps merged picture by picture, nuclei found in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import nn

from pathology.contracts.errors import DataError
from pathology.encoders.memory import FittingParts
from pathology.nuclei.classes import label_map
from pathology.nuclei.watershed import WatershedParams
from pathology.nuclei.windows import Windows, merge
from pathology.tasks.lizard.model import MIN_SIDE

MAX_WINDOWS = 16
"""In one forward: they fill a GPU, and H-optimus-0 with the decoder stays below 4 GiB beside its weights."""
MAX_NUCLEI = 2**16 - 1
"""What uint16 numbers, CoNIC's type."""


class Predictor:
    """``net`` gives :class:`pathology.tasks.lizard.model.Maps` of (B, 3, H, W); it is moved to ``device`` and evaluated.

    Windows are of ``side`` px, neighbours sharing ``overlap``. On a GPU it computes in float16, on a CPU in float32.
    """

    def __init__(self, net: nn.Module, device: torch.device, watershed: WatershedParams, side: int, overlap: int) -> None:
        self.net = net.to(device).eval()
        self.device, self.watershed, self.side, self.overlap = device, watershed, side, overlap
        self._parts = FittingParts(f"window of {side} px", MAX_WINDOWS)

    def labels(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 of any size → their nuclei (H, W, 2) uint16: instance 1 to n and class 1 to K, 0 background.

        Raises:
            DataError: for a picture of another type or below 32 px a side, for one of more nuclei than uint16 numbers, and when
                the network gives no numbers.
        """
        return [self._nuclei(maps) for maps in self.maps(images)]

    def maps(self, images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """For each picture (4 + K, H, W) float32: probability of a nucleus, two distance maps, probabilities of K + 1 classes.

        One at a time: those of 2048 × 2048 px with 6 classes are 168 MB.
        """
        for image in images:
            check_picture(image)
        tilings = [Windows(image.shape[0], image.shape[1], self.side, self.overlap) for image in images]
        windows = (image[window] for image, tiling in zip(images, tilings, strict=True) for window in tiling)
        predicted = self._windows(windows)
        for tiling in tilings:
            yield merge(tiling, islice(predicted, len(tiling)))

    def _windows(self, windows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Maps of each window in order; those of one shape that follow one another go together."""
        batch: list[np.ndarray] = []
        for window in windows:
            if batch and (len(batch) == self._parts.max_items or window.shape != batch[0].shape):
                yield from self._together(batch)
                batch = []
            batch.append(window)
        if batch:
            yield from self._together(batch)

    def _together(self, batch: list[np.ndarray]) -> Iterator[np.ndarray]:
        for maps in self._parts.run(np.stack(batch), lambda part: self._forward(part, half=self.device.type == "cuda")):
            yield from maps

    def _forward(self, pixels: np.ndarray, half: bool) -> np.ndarray:
        """``pixels`` (B, h, w, 3) uint8 → (B, 4 + K, h, w) float32. What overflows in half precision is computed in full."""
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.float16, enabled=half):
            maps: torch.Tensor = self.net(torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)).probabilities()
            if half and not bool(torch.isfinite(maps).all()):
                return self._forward(pixels, half=False)
            return maps.cpu().numpy()

    def _nuclei(self, maps: np.ndarray) -> np.ndarray:
        labels = label_map(maps[0], maps[1:3], maps[3:], self.watershed)
        if (count := int(labels[..., 0].max(initial=0))) > MAX_NUCLEI:
            raise DataError(f"the picture has {count:,} nuclei, and at most {MAX_NUCLEI:,} have a number: cut it in two")
        return labels.astype(np.uint16)


def check_picture(image: np.ndarray) -> None:
    """Refuse what the network cannot take.

    Raises:
        DataError: unless it is (H, W, 3) uint8 and at least 32 px a side.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"the picture: has shape {image.shape} of {image.dtype}, and not (H, W, 3) of uint8")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise DataError(f"the picture: is {width} × {height} px, and at least {MIN_SIDE} px a side are needed")
