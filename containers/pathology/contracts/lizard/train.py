"""TrainLizard's hyperparameters."""

from __future__ import annotations

from typing import Literal

from pathology.contracts.settings import Seed, Settings, setting


class TrainLizard(Settings):
    """Nuclear instances: a U-shaped decoder on four depths of the encoder and a convolutional stem on the raw patch.

    ``balance`` is how far rare classes are drawn more often: 0 not at all, 1 as often as the common ones.
    """

    fine_tuning: Literal["frozen", "lora"] = setting(
        "frozen", "The encoder frozen, or with adapters on qkv and proj.", parameter=True
    )
    epochs: int = setting(50, "Epochs, at most.", parameter=True, ge=1, le=1000)
    batch_size: int = setting(16, "Patches per step over all hosts, GPUs and accumulation steps.", parameter=True, ge=1, le=4096)
    accumulation: int = setting(1, "Parts that a step is accumulated over.", ge=1, le=1024)
    learning_rate: float = setting(1e-3, "The decoder's rate.", parameter=True, gt=0, le=1)
    encoder_learning_rate: float = setting(1e-4, "The adapters' rate.", parameter=True, gt=0, le=1)
    weight_decay: float = setting(1e-4, "AdamW's weight decay.", ge=0, le=1)
    warm_up: float = setting(0.05, "Fraction of the steps before the rate falls along a cosine.", ge=0, lt=1)
    patience: int = setting(10, "Epochs without a better validation loss before training stops.", ge=1, le=1000)
    rank: int = setting(16, "Rank of the adapters of lora.", ge=1, le=256)
    width: int = setting(32, "The decoder's channels at full resolution, doubled at each halving.", parameter=True, ge=4, le=256)
    balance: float = setting(0.5, "How far patches with rare classes are drawn more often.", parameter=True, ge=0, le=1)
    augment: bool = setting(True, "Rotate, mirror, stain and blur.")
    shuffle_labels: bool = setting(False, "Negative control: every patch has the nuclei of another of its side.")
    precision: Literal["auto", "float32", "float16", "bfloat16"] = setting("auto", "Arithmetic; auto: by the device.")
    seed: Seed = setting(0, "Seed of the decoder, order and augmentation.", parameter=True)
