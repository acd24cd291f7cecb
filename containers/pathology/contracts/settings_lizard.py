"""Typed hyperparameters of the lizard task's commands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pathology.contracts.settings import Names, Resampling, Seed, Settings
from pathology.contracts.uris import UriText

LIZARD_CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
"""Classes 1 to 6 of Lizard as the CoNIC challenge numbers them (Graham et al. 2021, 2024); 0 is no nucleus."""
MOST_CLASSES = 32
ALL_CLASSES = "all"
"""What tables call nuclei of whatever class."""


def _distinct(names: Any) -> Any:
    if len(set(names)) < len(names) or len(names) > MOST_CLASSES or ALL_CLASSES in names:
        raise ValueError(f"up to {MOST_CLASSES} different names, none of them {ALL_CLASSES!r}")
    return names


Classes = Annotated[Names, AfterValidator(_distinct)]


class PrepareLizard(Settings):
    """images.npy, labels.npy, counts.csv and patch_info.csv in CoNIC's layout → patches.csv and dataset.json.

    ``classes`` name classes 1, 2, … and must be the header of counts.csv. ``fold`` is one of the ten published splits by source
    image; ``published_counts`` holds fold 0 to its 3,963 and 1,018 patches, switch it off for other data. ``validation_fraction``
    of the train side's source images is kept aside.
    """

    classes: Classes = LIZARD_CLASSES
    fold: Annotated[int, Field(ge=0, le=9)] = 0
    published_counts: bool = True
    validation_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    seed: Seed = 0


class StageLizard(Settings):
    """Copies images.npy and labels.npy of ``dataset``, and the ``encoder``'s folder, to EFS where they changed."""

    dataset: UriText
    encoder: UriText


class TrainLizard(Settings):
    """Nuclear instances: a U-shaped decoder on four depths of the encoder and a convolutional stem on the raw patch.

    ``encoder`` says whether the encoder stays ``frozen`` or has ``lora`` adapters of ``rank`` on qkv and proj. ``batch_size`` is
    global, split among hosts and GPUs and over ``accumulation`` steps. ``width`` is the decoder's channels at full resolution,
    doubled at each halving. ``balance`` is how far rare classes are drawn more often: 0 not at all, 1 as often as the common ones.
    ``learning_rate`` is the decoder's, ``encoder_learning_rate`` the adapters'; ``warm_up`` the share of steps before the cosine.
    Training stops after ``patience`` epochs without a better validation loss. ``augment`` turns, mirrors, stains and blurs.
    ``shuffle_labels`` gives every patch the nuclei of another of its side: a control, from which nothing can be learnt.
    """

    encoder: Literal["frozen", "lora"] = "frozen"
    epochs: Annotated[int, Field(ge=1, le=1000)] = 50
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16
    accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    encoder_learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.05
    patience: Annotated[int, Field(ge=1, le=1000)] = 10
    rank: Annotated[int, Field(ge=1, le=256)] = 16
    width: Annotated[int, Field(ge=4, le=256)] = 32
    balance: Annotated[float, Field(ge=0, le=1)] = 0.5
    augment: bool = True
    shuffle_labels: bool = False
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    seed: Seed = 0


class EvaluateLizard(Resampling):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html; ``resamples`` draws of source images."""
