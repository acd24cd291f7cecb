"""Patches to try the mhist pipeline on: painted mucosa in two textures, with votes as seven people would give them.

What differs between the classes is texture alone: in HP the crypts are narrow and stand close, in SSA they are wide and far apart.
How wide is drawn from distributions that overlap, stains vary from patch to patch, and annotators disagree most where a patch lies
between the two. No patch is a patient's.
"""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
from pathology.contracts.mhist.patches import ANNOTATORS, LABELS, SIDE
from pathology.contracts.storage import atomic_write
from pathology.tasks.mhist.table import HEADER

from demo.slides import GLASS, STAINS

PATCHES = 600
"""Of the demo."""
POSITIVES, TRAIN = 990 / 3152, 2175 / 3152
"""MHIST's own fractions of SSA and of the train partition."""

SEPARATION = 3.0
"""Distance of the classes' means, in standard deviations, on the scale that both the texture and the votes follow."""
DISAGREEMENT = 1.3
"""Standard deviation of one annotator's judgement on that scale."""
CRYPTS, SPREAD = 4.2, 0.16
"""px: the scale of a crypt that lies between the classes; and how far, in logarithms, one standard deviation moves it."""

MIN_GRAIN = 2.0
"""px: noise is blurred by one to two times this at any size it is drawn."""

MIN_PATCHES = 20
NAMES = 26**3


def make_patches(folder: Path, count: int, seed: int = 0, permuted: bool = False) -> None:
    """Write ``folder/annotations.csv`` in MHIST's columns and ``folder/images/images.zip`` with ``count`` PNGs of 224×224 px.

    ``permuted`` gives the same labels and votes to other patches of the same partition, so that there is nothing to learn. The
    same arguments give the same bytes.

    Raises:
        ValueError: for fewer patches than both classes in both partitions need, or more than there are names.
    """
    if not MIN_PATCHES <= count <= NAMES:
        raise ValueError(f"{count} patches: from {MIN_PATCHES} to {NAMES} can be made")
    generator = np.random.default_rng([seed, 1])
    labels = generator.permutation(np.arange(count) < round(count * POSITIVES))
    traits, votes = _traits_and_votes(labels, generator)
    train = _partition(labels, generator)
    if permuted:
        for side in (train, ~train):
            votes[side] = generator.permutation(votes[side])
    names = [f"MHIST_{_letters(number)}.png" for number in range(count)]
    atomic_write(folder / "images" / "images.zip", _zip(names, traits, seed))
    atomic_write(folder / "annotations.csv", _table(names, votes, train))


def _traits_and_votes(labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where each patch lies between the classes (N,), and the votes for SSA (N,) whose majority is its label; drawn until it is."""
    traits, votes = np.zeros(len(labels)), np.zeros(len(labels), dtype=int)
    for index, label in enumerate(labels):
        while True:
            traits[index] = generator.normal(SEPARATION * (label - 0.5))
            votes[index] = (traits[index] + generator.normal(0, DISAGREEMENT, ANNOTATORS) > 0).sum()
            if (votes[index] > ANNOTATORS / 2) == label:
                break
    return traits, votes


def _partition(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Which patches are in train, (N,) bool: the same fraction of either class."""
    train = np.zeros(len(labels), dtype=bool)
    for label in (False, True):
        of_class = generator.permutation(np.flatnonzero(labels == label))
        train[of_class[: round(len(of_class) * TRAIN)]] = True
    return train


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + number // step % 26) for step in (676, 26, 1))


def _table(names: list[str], votes: np.ndarray, train: np.ndarray) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for name, count, learnt in zip(names, votes.tolist(), train.tolist(), strict=True):
        writer.writerow([name, LABELS[count > ANNOTATORS / 2], count, "train" if learnt else "test"])
    return text.getvalue().encode()


def _zip(names: list[str], traits: np.ndarray, seed: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, (name, trait) in enumerate(zip(names, traits.tolist(), strict=True)):
            pixels = paint(trait, np.random.default_rng([seed, 2, number]))
            done, content = cv2.imencode(".png", pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
            assert done
            archive.writestr(zipfile.ZipInfo(f"images/{name}"), content.tobytes())  # without the time of day
    return packed.getvalue()


def paint(trait: float, generator: np.random.Generator) -> np.ndarray:
    """A patch at ``trait`` standard deviations from the middle between HP (below 0) and SSA (above), (224, 224, 3) uint8 RGB."""
    crypt = float(np.exp(np.log(CRYPTS) + SPREAD * trait + generator.normal(0, 0.05)))
    glands = grain(crypt, generator) - grain(2 * crypt, generator) * 0.3
    lumen = np.clip((glands - 0.9) * 4, 0, 1)
    rim = np.exp(-(((glands - 0.55) / 0.22) ** 2))
    nuclei = np.clip(grain(1.1, generator) * 0.8 - 0.2, 0, 2)
    hills = grain(30, generator)
    haematoxylin = (0.12 + rim * (0.35 + 0.45 * nuclei)) * (1 - lumen) * np.exp(generator.normal(0, 0.15))
    eosin = (0.5 + 0.06 * hills + 0.08 * grain(2.5, generator)) * (1 - 0.9 * lumen) * np.exp(generator.normal(0, 0.15))
    return light_through(haematoxylin, eosin)


def light_through(haematoxylin: np.ndarray, eosin: np.ndarray, stains: np.ndarray = STAINS) -> np.ndarray:
    """What the lamp shows of two stains of these densities (H, W), (H, W, 3) uint8 RGB (Beer and Lambert's law)."""
    density = np.stack([haematoxylin, np.maximum(eosin, 0)], axis=-1).astype(np.float32) @ stains
    return np.asarray(np.clip(GLASS * np.exp(-density), 0, 255).astype(np.uint8))


def grain(scale: float, generator: np.random.Generator, size: int = SIDE) -> np.ndarray:
    """Smooth noise of zero mean and unit variance, hills of about ``scale`` px, (size, size) float32."""
    shrink = max(1, int(scale / MIN_GRAIN))  # long hills are drawn small and enlarged: the same look in a tenth of the time
    side = size // shrink + 1
    smooth = cv2.GaussianBlur(generator.standard_normal((side, side), np.float32), (0, 0), scale / shrink)
    smooth = cv2.resize(smooth, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray((smooth - smooth.mean()) / smooth.std())


def make_demo(folder: Path) -> None:
    """The data of ``make demo TASK=mhist``."""
    print("making patches for the demo (seeded, of two H&E-like textures; no patient's)", flush=True)
    folder.mkdir(parents=True)
    make_patches(folder, PATCHES)
