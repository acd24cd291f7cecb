"""The linear head of a patch classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pathology.artefact import check_tensors


@dataclass(frozen=True)
class Head:
    """A linear head on embeddings: ``weight`` (D,) and ``bias``, float64."""

    weight: np.ndarray
    bias: float

    @classmethod
    def of(cls, tensors: dict[str, Tensor], dimension: int, where: str) -> Head:
        """From ``weight`` (D,) and ``bias`` ().

        Raises:
            DataError: naming the tensor that is missing, surplus, of another shape or not finite.
        """
        shapes = {"weight": (dimension,), "bias": ()}
        check_tensors(tensors, shapes, where)
        return cls(tensors["weight"].detach().double().cpu().numpy(), float(tensors["bias"]))

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`of` reads."""
        return {"weight": torch.from_numpy(self.weight), "bias": torch.tensor(self.bias, dtype=torch.float64)}

    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings (B, D) → probabilities of class 1, (B,) float64."""
        # Row by row, so that a patch gets the same answer in any batch.
        logits = (embeddings.astype(np.float64) * self.weight).sum(axis=1) + self.bias
        return np.exp(-np.logaddexp(0.0, -logits))
