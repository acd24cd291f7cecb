"""TrainMsi's hyperparameters."""

from __future__ import annotations

from pathology.contracts.operating_points import OperatingSettings
from pathology.contracts.settings import Seed, setting


class TrainMsi(OperatingSettings):
    """Gated attention MIL, cross-validated over the cohort's folds, kept as an ensemble."""

    epochs: int = setting(20, "Epochs of a fold, at most.", parameter=True, ge=1, le=1000)
    batch_size: int = setting(8, "Bags per step.", parameter=True, ge=1, le=256)
    learning_rate: float = setting(1e-3, "AdamW's rate, constant.", parameter=True, gt=0, le=1)
    weight_decay: float = setting(1e-4, "AdamW's weight decay.", ge=0, le=1)
    max_tiles: int = setting(3000, "Tiles drawn from a bag per epoch; 0: all of them.", parameter="TilesPerBag", ge=0)
    hidden_size: int = setting(256, "Width of the layer that tiles are projected to.", ge=8, le=4096)
    dropout: float = setting(0.25, "Dropout before pooling and before the classifier.", ge=0, lt=1)
    patience: int = setting(8, "Epochs without a better validation loss before a fold ends.", ge=1, le=1000)
    shuffle_labels: bool = setting(False, "Negative control: labels permuted within each fold; nothing can be learnt from them.")
    seed: Seed = setting(0, "Seed of weights, order and drawn tiles.", parameter=True)
