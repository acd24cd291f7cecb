"""Gated attention pooling over a bag of tiles (Ilse, Tomczak & Welling 2018, "Attention-based Deep Multiple Instance Learning")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pathology.host import cores

MIN_STD = 1e-6
"""Features that never vary carry nothing and must not be divided by zero."""

MAX_CPU_THREADS = 8
"""More do not pay on bags of some thousand tiles."""

PARALLEL_WORK = 1e8
"""Multiply-adds from which several CPU threads pay: on small bags waiting for one another cost five times the work
(measured: 8 bags of 35 tiles, 2 threads on 2 busy cores)."""


@contextmanager
def cpu_threads(work: float) -> Iterator[None]:
    """As many CPU threads as ``work`` multiply-adds at a time are worth; the number before is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if work < PARALLEL_WORK else min(cores(), MAX_CPU_THREADS))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class GatedAttention(nn.Module):
    """A bag of tile embeddings → one logit.

    Tiles are standardised with the training tiles' ``mean`` and ``std``, projected, weighted by gated attention
    (equation 9 of the paper) and summed; a linear layer reads the sum. ``prior`` is the logarithm of the weight that
    positives had in the loss: subtracting it undoes the weighting, so that logits are those of the training cohort's
    prevalence (Elkan 2001, "The Foundations of Cost-Sensitive Learning", theorem 2).
    """

    mean: Tensor
    std: Tensor
    prior: Tensor

    def __init__(self, dimension: int, hidden_size: int = 256, dropout: float = 0.25) -> None:
        super().__init__()
        attention_size = max(hidden_size // 2, 1)
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("std", torch.ones(dimension))
        self.register_buffer("prior", torch.zeros(()))
        self.project = nn.Sequential(nn.Linear(dimension, hidden_size), nn.ReLU(), nn.Dropout(dropout))
        self.content = nn.Sequential(nn.Linear(hidden_size, attention_size), nn.Tanh())
        self.gate = nn.Sequential(nn.Linear(hidden_size, attention_size), nn.Sigmoid())
        self.attend = nn.Linear(attention_size, 1)
        self.classify = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, 1))

    def forward(self, tiles: Tensor, mask: Tensor | None = None) -> Tensor:
        """Bags (B, N, D) of any float type and ``mask`` (B, N), True where there is a tile → logits (B,) as weighted in training."""
        pooled, _ = self.pool(tiles, mask)
        logits: Tensor = self.classify(pooled).squeeze(-1)
        return logits

    def pool(self, tiles: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Bags (B, N, D) → pooled (B, H) and attention (B, N), which sums to 1 over a bag's tiles."""
        hidden = self.project((tiles.float() - self.mean) / self.std.clamp(min=MIN_STD))
        scores = self.attend(self.content(hidden) * self.gate(hidden)).squeeze(-1)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        attention = scores.softmax(dim=-1)
        return torch.einsum("bn,bnh->bh", attention, hidden), attention

    @torch.inference_mode()
    def read(self, tiles: Tensor) -> tuple[float, Tensor]:
        """One whole bag (N, D) → the logit of the positive class at the training cohort's prevalence, and attention (N,) of sum 1."""
        self.eval()
        with cpu_threads(tiles.numel() * self.attend.in_features * 2):
            pooled, attention = self.pool(tiles.to(self.mean.device).unsqueeze(0))
            logit: Tensor = self.classify(pooled).squeeze(-1)[0]
        return float(logit.double() - self.prior.double()), attention[0].cpu()

    def logit(self, tiles: Tensor) -> float:
        """As :meth:`read`, the logit alone."""
        return self.read(tiles)[0]
