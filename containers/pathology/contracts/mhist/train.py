"""TrainMhist's hyperparameters."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from pathology.contracts.fine_tuning import FineTuning
from pathology.contracts.operating_points import OperatingSettings
from pathology.contracts.settings import Seed, setting


class TrainMhist(OperatingSettings):
    """A patch classifier on the encoder: HP against SSA.

    ``fine_tuning`` says what is trained besides the head: ``linear`` nothing, on embeddings computed once; ``lora`` adapters on qkv
    and proj; ``last-blocks`` the encoder's last blocks; ``full`` all of it.
    """

    fine_tuning: FineTuning = setting("linear", "What is trained besides the head.", parameter=True)
    protocol: Literal["held-out", "eva"] = setting(
        "held-out",
        "held-out: choices are made on validation patches, and the test is touched once; eva: a linear head as the benchmark eva trains "
        "it, its epoch chosen on the test patches, to be laid beside eva's leaderboard and nothing else (docs/mhist.md).",
        parameter=True,
    )
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
    soft_labels: bool = setting(False, "Learn the fraction of annotators who chose class 1.", parameter=True)
    shuffle_labels: bool = setting(False, "Negative control: labels permuted within each side; nothing can be learnt from them.")
    seed: Seed = setting(0, "Seed of adapters, order and augmentation.", parameter=True)

    @model_validator(mode="after")
    def _eva_trains_a_head_on_hard_labels(self) -> Self:
        if self.protocol == "eva" and (self.fine_tuning != "linear" or self.soft_labels):
            raise ValueError(
                "protocol eva trains a linear head alone, on hard labels: set fine-tuning to linear and soft-labels to false"
            )
        return self
