"""TrainTumour's hyperparameters."""

from __future__ import annotations

from typing import Literal

from pathology.contracts.fine_tuning import FineTuning
from pathology.contracts.operating_points import OperatingSettings
from pathology.contracts.settings import Seed, setting


class TrainTumour(OperatingSettings):
    """A patch classifier on the encoder: normal tissue against tumour."""

    fine_tuning: FineTuning = setting("linear", "What is trained besides the head.", parameter=True)
    epochs: int = setting(20, "Epochs, at most; a linear probe has none.", parameter=True, ge=1, le=1000)
    batch_size: int = setting(64, "Patches per step over all hosts, GPUs and accumulation steps.", parameter=True, ge=1, le=4096)
    accumulation: int = setting(1, "Parts that a step is accumulated over.", ge=1, le=1024)
    learning_rate: float = setting(1e-3, "The head's rate.", parameter=True, gt=0, le=1)
    encoder_learning_rate: float = setting(1e-4, "The rate of what is trained inside the encoder.", parameter=True, gt=0, le=1)
    weight_decay: float = setting(0.01, "AdamW's weight decay.", ge=0, le=1)
    warm_up: float = setting(0.1, "Fraction of the steps before the rate falls along a cosine.", ge=0, lt=1)
    patience: int = setting(5, "Epochs without a better validation loss before training stops.", ge=1, le=1000)
    rank: int = setting(16, "Rank of the adapters of lora.", ge=1, le=256)
    blocks: int = setting(2, "Blocks that last-blocks trains.", ge=1, le=64)
    precision: Literal["auto", "float32", "float16", "bfloat16"] = setting("auto", "Arithmetic; auto: by the device.")
    seed: Seed = setting(0, "Seed of adapters, order and augmentation.", parameter=True)
