"""Bags for multiple-instance learning: all tiles of all slides of a patient, checked as they are read, kept while they fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from pathology.contracts.cohort import CohortRow, SlideRow
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.host import memory
from pathology.wsi.features import Features, colours_in, read_features

MEMORY_FRACTION = 0.5
"""Fraction of the host's memory for features; the rest is the model's, the batches' and the file cache's."""


@dataclass(frozen=True)
class Patient:
    """One bag: whose it is, its label, its fold (None: test), and its slides with features."""

    patient_id: str
    site: str
    label: int
    fold: int | None
    slides: tuple[SlideRow, ...]


def patients_of(cohort: Iterable[CohortRow], slides: Iterable[SlideRow]) -> tuple[list[Patient], list[Patient]]:
    """Patients by id with their ``ok`` slides: those that have one, and those that have none.

    Raises:
        DataError: when a slide of the cohort is not in the table of slides.
    """
    by_id = {row.slide_id: row for row in slides}
    grouped: dict[str, list[CohortRow]] = {}
    for row in sorted(cohort, key=lambda row: (row.patient_id, row.slide_id)):
        if row.slide_id not in by_id:
            raise DataError(f"slide {row.slide_id} is in the cohort and not in slides.csv: collect this cohort's features")
        grouped.setdefault(row.patient_id, []).append(row)
    usable: list[Patient] = []
    unusable: list[Patient] = []
    for name, rows in grouped.items():
        with_features = tuple(by_id[row.slide_id] for row in rows if by_id[row.slide_id].status == "ok")
        patient = Patient(name, rows[0].site, rows[0].label, rows[0].fold, with_features)
        (usable if with_features else unusable).append(patient)
    return usable, unusable


def permuted(patients: Sequence[Patient], seed: int) -> list[Patient]:
    """``patients`` with one another's labels, permuted within each fold, which keeps its fraction of either class."""
    generator = np.random.default_rng(seed)
    labels = np.array([patient.label for patient in patients])
    folds = np.array([-1 if patient.fold is None else patient.fold for patient in patients])
    for fold in np.unique(folds):
        labels[folds == fold] = generator.permutation(labels[folds == fold])
    return [replace(patient, label=label) for patient, label in zip(patients, labels.tolist(), strict=True)]


def feature_path(root: Path, row: SlideRow) -> Path:
    """Where training finds a slide's features: ``<root>/<settings hash>/<slide_id>.h5``.

    Raises:
        DataError: when the row's settings hash could name another folder.
    """
    return root / row.feature_file


class KnownEncoder(Protocol):
    """What encoder.json and a model's config.json both say of an encoder."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def dimension(self) -> int: ...


def check_origin(features: Features, slide_id: str, encoder: KnownEncoder, settings_hash: str) -> None:
    """Hold what a feature file says of its origin against the encoder and the settings that training or the model has.

    Raises:
        DataError: naming both encoders, both settings, or both dimensions.
    """
    attributes = features.attributes
    name, sha256 = str(attributes.get("encoder", "unknown")), str(attributes.get("checkpoint_sha256", "unknown"))
    if sha256 != encoder.sha256:
        raise DataError(
            f"slide {slide_id}: its features are by encoder {name} (sha256 {sha256[:12]}…) and must be by {encoder.name} "
            f"(sha256 {encoder.sha256[:12]}…): extract them with that one"
        )
    made_with = str(attributes.get("settings_hash", "unknown"))
    if made_with != settings_hash:
        raise DataError(
            f"slide {slide_id}: its features were made with settings {made_with} and must be made with {settings_hash}: "
            "extract them with those"
        )
    dimension = features.features.shape[1]
    if dimension != encoder.dimension:
        raise DataError(
            f"slide {slide_id}: its features have {dimension} dimensions and encoder {encoder.name} makes {encoder.dimension}: "
            "extract them again"
        )


def mean_of_tiles(tiles: np.ndarray) -> np.ndarray:
    """The mean (D,) float64 of a patient's tiles (N, D)."""
    return np.asarray(tiles.mean(axis=0, dtype=np.float64))


class Bags:
    """Features of patients by index, read when first asked for and kept up to ``memory`` bytes."""

    def __init__(self, root: Path, patients: Sequence[Patient], encoder: EncoderManifest, memory: int | None = None) -> None:
        self.root = root
        self.patients = tuple(patients)
        self.encoder = encoder
        self.labels = np.array([patient.label for patient in patients], dtype=np.int64)
        self._room = host_memory_for_bags() if memory is None else memory
        self._kept: dict[int, np.ndarray] = {}
        self.colours: dict[str, tuple[float, ...] | None] = {}
        """Of the slides read so far, by id; None where the feature file has none."""

    def __len__(self) -> int:
        return len(self.patients)

    def load(self, index: int) -> np.ndarray:
        """All tiles of a patient, (N, D) float16.

        Raises:
            DataError: naming the slide whose file is gone, changed, or by another encoder.
        """
        if index in self._kept:
            return self._kept[index]
        bag = np.concatenate([self._read(slide) for slide in self.patients[index].slides])
        if bag.nbytes <= self._room:
            self._room -= bag.nbytes
            self._kept[index] = bag
        return bag

    def _read(self, slide: SlideRow) -> np.ndarray:
        features = read_features(feature_path(self.root, slide), slide.slide_id, slide.sha256)
        check_origin(features, slide.slide_id, self.encoder, slide.settings_hash)
        self.colours[slide.slide_id] = colours_in(features, slide.slide_id)
        return features.features

    def draw(self, index: int, max_tiles: int, seed: Sequence[int]) -> np.ndarray:
        """At most ``max_tiles`` (0: all) of a patient's tiles without replacement, in their order; seeded, so that a restart
        or another order of patients draws the same."""
        bag = self.load(index)
        if max_tiles == 0 or len(bag) <= max_tiles:
            return bag
        chosen = np.random.default_rng([*seed, index]).choice(len(bag), max_tiles, replace=False)
        return bag[np.sort(chosen)]

    def moments(self, indices: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (D,) float32 of every feature over all tiles of these patients."""
        total = np.zeros(self.encoder.dimension)
        squares = np.zeros(self.encoder.dimension)
        count = 0
        for index in indices:
            bag = self.load(index).astype(np.float64)
            total += bag.sum(axis=0)
            squares += (bag**2).sum(axis=0)
            count += len(bag)
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0)
        return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)


def host_memory_for_bags() -> int:
    """Bytes of memory that bags may keep on this host."""
    return int(memory() * MEMORY_FRACTION)
