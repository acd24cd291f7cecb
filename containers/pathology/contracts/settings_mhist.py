"""Typed hyperparameters of the mhist task's commands."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.settings import Resampling, Seed, Settings
from pathology.contracts.uris import UriText


class PrepareMhist(Settings):
    """annotations.csv and the patches → patches.csv and the checked images.

    ``published_counts`` holds the partition to MHIST's own 2,175 train and 977 test patches (Wei et al. 2021); switch it off for a
    subset. ``validation_fraction`` of the train partition is kept aside, stratified by label and annotators' agreement.
    """

    published_counts: bool = True
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    seed: Seed = 0


class StageMhist(Settings):
    """Copies the ``images`` that patches.csv names, and the ``encoder``'s folder, to EFS where they changed."""

    images: UriText
    encoder: UriText


Tune = Literal["linear", "lora", "last-blocks", "full"]


class TrainMhist(Settings):
    """A patch classifier on the encoder: HP against SSA.

    ``tune`` says what is trained besides the head: ``linear`` nothing, on embeddings computed once; ``lora`` adapters of ``rank``
    on qkv and proj; ``last-blocks`` the last ``blocks`` of the encoder; ``full`` all of it. ``batch_size`` is global, split among
    hosts and GPUs and over ``accumulation`` steps. ``soft_labels`` trains on the annotators' share of votes, ``shuffle_labels`` on
    the labels of other patches of the same side: a control, from which nothing can be learnt.
    ``learning_rate`` is the head's, ``encoder_learning_rate`` that of what is trained inside the encoder; ``warm_up`` the share
    of steps before the cosine. Training stops after ``patience`` epochs without a better validation loss.
    """

    tune: Tune = "linear"
    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    encoder_learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=1, le=1000)] = 5
    rank: Annotated[int, Field(ge=1, le=256)] = 16
    blocks: Annotated[int, Field(ge=1, le=64)] = 2
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    soft_labels: bool = False
    shuffle_labels: bool = False
    seed: Seed = 0


class EvaluateMhist(Resampling):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patches."""
