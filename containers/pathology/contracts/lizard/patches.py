"""patches.csv and dataset.json of lizard: which patches of which arrays, and the classes of their nuclei."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pathology.contracts.hashes import Sha256
from pathology.contracts.settings import Names
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import Row

TABLE, DATASET = "patches.csv", "dataset.json"
SPLITS = ("train", "validation", "test")
PUBLISHED = {"train": 3963, "test": 1018}
"""Patches of fold 0; train is before validation is taken out."""

Count = Annotated[int, Field(ge=0)]

LIZARD_CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
"""Classes 1 to 6 of Lizard as the CoNIC challenge numbers them (Graham et al. 2021, 2024); 0 is the background."""
MAX_CLASSES = 32
ALL_CLASSES = "all"
"""What tables call nuclei of any class."""


def _distinct(names: Any) -> Any:
    if len(set(names)) < len(names) or len(names) > MAX_CLASSES or ALL_CLASSES in names:
        raise ValueError(f"up to {MAX_CLASSES} different names, none of them {ALL_CLASSES!r}")
    return names


Classes = Annotated[Names, AfterValidator(_distinct)]


class NucleiPatchRow(Row):
    """One patch of images.npy: its ``index`` there, its name and source image in patch_info.csv, its cohort, its side.

    ``name`` is ``<source>-<number>``, ``cohort`` the source up to its first ``_``. ``nuclei`` are all instances of the patch.
    """

    index: Count
    name: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,199}\z")]
    source: str
    cohort: str
    nuclei: Count
    split: Literal["train", "validation", "test"]


def source_of(name: str) -> str:
    """The source image of a patch: its name up to ``-``."""
    return name.split("-", 1)[0]


def cohort_of(source: str) -> str:
    """The cohort of a source image: its name up to the first ``_``."""
    return source.split("_", 1)[0]


class SplitFigures(StrictJson):
    """Source images, patches and nuclei of one side; ``classes`` all nuclei of each class, not only those in the centre."""

    sources: int
    patches: int
    nuclei: int
    classes: dict[str, int]


class NucleiDataset(StrictJson):
    """dataset.json: which arrays, by hash, patches.csv is about; how they were split and what is in them.

    ``settings`` are those of the preparation, ``fold`` among them. ``pooled`` names groups of cohorts too small to be stratified on
    their own; ``identical`` patches with the very same pixels.
    """

    dataset: Literal["lizard"] = "lizard"
    classes: tuple[str, ...]
    side: int
    patches: int
    images_sha256: Sha256
    labels_sha256: Sha256
    patches_sha256: Sha256
    fold: int
    settings: dict[str, Any]
    pooled: tuple[tuple[str, ...], ...]
    splits: dict[str, SplitFigures]
    identical: tuple[tuple[str, ...], ...]
