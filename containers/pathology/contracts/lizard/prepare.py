"""PrepareLizard's hyperparameters."""

from __future__ import annotations

from pathology.contracts.lizard.patches import LIZARD_CLASSES, Classes
from pathology.contracts.prepared import HandsOn
from pathology.contracts.settings import Seed, Settings, setting
from pathology.contracts.uris import S3UriText


class PrepareLizard(Settings):
    """images.npy, labels.npy, counts.csv and patch_info.csv in CoNIC's layout → patches.csv and dataset.json."""

    classes: Classes = setting(LIZARD_CLASSES, "Names of classes 1, 2, …: the header of counts.csv.", parameter=True)
    fold: int = setting(0, "One of the ten published splits by source image.", parameter=True, ge=0, le=9)
    published_counts: bool = setting(
        True, "Hold fold 0 to the published 3,963 and 1,018 patches; false for other data.", parameter=True
    )
    validation_fraction: float = setting(0.1, "Fraction of the train side's source images that is set apart.", gt=0, lt=0.5)
    split_seed: Seed = setting(0, "Seed of the choice of validation images.", parameter=True)


class PrepareLizardJob(PrepareLizard, HandsOn):
    """What the job gets besides from the graph."""

    dataset: S3UriText = setting(..., "A folder with images.npy, labels.npy, counts.csv and patch_info.csv.")
