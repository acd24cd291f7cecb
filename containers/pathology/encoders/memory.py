"""As many items at a time as the device has memory for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np

from pathology.contracts.errors import DataError


class FittingParts:
    """Runs batches whole where they fit, in halves where they do not; what did not fit once is not tried again.

    ``item`` names one of the items in the error.
    """

    def __init__(self, item: str, max_items: int = sys.maxsize) -> None:
        self.item, self.max_items = item, max_items

    def run(self, items: np.ndarray, forward: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """``forward`` of consecutive parts of ``items`` (n, …), together all of them.

        Raises:
            DataError: when the device has no memory for one item.
        """
        import torch

        start = 0
        while start < len(items):
            part = items[start : start + self.max_items]
            try:
                result = forward(part)
            except torch.OutOfMemoryError as error:
                self.max_items = len(part) // 2
                if self.max_items == 0:
                    raise DataError(f"the device has no memory for one {self.item} ({error})") from None
                continue
            yield result
            start += len(part)
