"""Patches to try the lizard pipeline on: painted tissue in CoNIC's four files, every nucleus outlined and of one of six classes.

The classes differ as in life: lymphocytes small, round and dark; epithelial nuclei large, pale and oval with a rim, along glands;
plasma cells off the middle of a purplish body; neutrophils in dark lobes; eosinophils of two lobes in bright pink; connective tissue
in spindles. Two in three touch or overlap another, stains vary among source images, and red cells, fibres and smudges of
haematoxylin are not nuclei. No patch is a patient's.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.contracts.storage import atomic_write, temp_sibling
from pathology.nuclei.counts import central_counts

from demo.nuclear_shapes import KINDS, Kind, Shape, direction, draw
from demo.patches import grain, light_through
from demo.slides import STAINS

PATCHES = 160
"""Of the demo."""
SIDE = 256
COHORTS = ("crag", "dpath", "glas")
MIN_NUCLEI, MAX_NUCLEI = 20, 80
"""Of a patch."""
TOUCHING = 0.5
"""Fraction of nuclei that are put beside another on purpose."""
VISIBLE = 0.7
"""Fraction of a nucleus that no later one covers."""
MIN_AREA = 24
"""px²: less of a nucleus at the patch's border is not one."""
TRIES = 25
"""Places tried for one nucleus: where it is crowded some find none."""

SHARPNESS = 0.7
"""px: standard deviation of the lens's blur."""

ORDER = ("connective", "epithelial", "plasma", "eosinophil", "lymphocyte", "neutrophil")
"""Painted in this order: small cells lie on top, so that none disappears."""


@dataclass(frozen=True)
class Look:
    """What is a source image's own: strength of both stains, their colours (2, 3), the fractions of the classes (6,)."""

    haematoxylin: float
    eosin: float
    stains: np.ndarray
    fractions: np.ndarray


@dataclass(frozen=True)
class Placed:
    """A nucleus in the patch: centre (x, y), radius and area in px, and the part of the patch that it lies in."""

    centre: np.ndarray
    radius: float
    area: int
    box: tuple[slice, slice]


@dataclass
class Scene:
    """A patch as it is painted: instance ids and classes (256, 256), densities of both stains (256, 256) float32."""

    haematoxylin: np.ndarray
    eosin: np.ndarray
    clumps: np.ndarray
    labels: np.ndarray = field(default_factory=lambda: np.zeros((SIDE, SIDE, 2), np.uint16))
    placed: list[Placed] = field(default_factory=list)


def make_nuclei(folder: Path, patches: int, seed: int = 0, sources: int = 12) -> None:
    """Write ``images.npy``, ``labels.npy``, ``counts.csv`` and ``patch_info.csv`` with ``patches`` of 256×256 px at 0.5 µm/px.

    They come from ``sources`` images of three cohorts, as ``glas_1-0000``. The same arguments give the same bytes.

    Raises:
        ValueError: for no patches, no sources, or fewer patches than sources.
    """
    if not 1 <= sources <= patches:
        raise ValueError(f"{patches} patches of {sources} source images: at least one of each can be made")
    folder.mkdir(parents=True, exist_ok=True)
    owners = [number * sources // patches for number in range(patches)]
    looks = [new_look(np.random.default_rng([seed, 1, source])) for source in range(sources)]
    counts = []
    paths = folder / "images.npy", folder / "labels.npy"
    beside = [temp_sibling(path) for path in paths]
    try:
        images = np.lib.format.open_memmap(beside[0], "w+", np.uint8, (patches, SIDE, SIDE, 3))
        labels = np.lib.format.open_memmap(beside[1], "w+", np.uint16, (patches, SIDE, SIDE, 2))
        for number, source in enumerate(owners):
            images[number], labels[number] = paint(looks[source], np.random.default_rng([seed, 2, number]))
            counts.append(central_counts(labels[number], len(KINDS)).tolist())
        images.flush()
        labels.flush()
        for path, temporary in zip(paths, beside, strict=True):
            temporary.replace(path)
    finally:
        for temporary in beside:
            temporary.unlink(missing_ok=True)
    atomic_write(folder / "counts.csv", _table(LIZARD_CLASSES, counts))
    atomic_write(folder / "patch_info.csv", _table(["patch_info"], [[name] for name in _names(owners)]))


def _names(owners: Sequence[int]) -> list[str]:
    """``<cohort>_<image>-<patch>``, patches counted from 0 in each source image."""
    return [
        f"{COHORTS[source % len(COHORTS)]}_{source // len(COHORTS) + 1}-{number - owners.index(source):04d}"
        for number, source in enumerate(owners)
    ]


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue().encode()


def new_look(generator: np.random.Generator) -> Look:
    """How a source image looks: the strength and the colours of its stains, and which nuclei it has."""
    fractions = np.array([kind.fraction for kind in KINDS]) * np.exp(generator.normal(0, 0.35, len(KINDS)))
    stains = (STAINS * np.exp(generator.normal(0, 0.05, STAINS.shape))).astype(np.float32)
    strengths = np.exp(generator.normal(0, 0.10, 2))
    return Look(float(strengths[0]), float(strengths[1]), stains, fractions / fractions.sum())


def paint(look: Look, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One patch (256, 256, 3) uint8 RGB and its labels (256, 256, 2) uint16: instance ids 1 to n, class 1 to 6."""
    scene, rings = _tissue(generator)
    wanted = int(generator.integers(MIN_NUCLEI + 6, MAX_NUCLEI + 1))
    drawn = generator.choice(len(KINDS), wanted, p=look.fractions)
    names = sorted((KINDS[index].name for index in drawn), key=ORDER.index)
    by_name = {kind.name: kind for kind in KINDS}
    for name in names:
        for _ in range(TRIES):
            shape = draw(by_name[name], generator)
            if _place(scene, shape, _propose(scene, shape, rings, generator), generator):
                break
    haematoxylin, eosin = (
        cv2.GaussianBlur(field, (0, 0), SHARPNESS) * strength
        for field, strength in ((scene.haematoxylin, look.haematoxylin), (scene.eosin, look.eosin))
    )
    noise = generator.normal(0, 0.02, (2, SIDE, SIDE)).astype(np.float32)
    return light_through(haematoxylin + noise[0], eosin + noise[1], look.stains), scene.labels


def _tissue(generator: np.random.Generator) -> tuple[Scene, list[np.ndarray]]:
    """What lies below the nuclei; and the places (n, 2) along glands where epithelial nuclei stand."""
    fibres = cv2.resize(grain(3, generator, SIDE)[: SIDE // 4], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    if generator.random() < 0.5:
        fibres = np.ascontiguousarray(fibres.T)  # cv2 paints on rows that lie one after another
    hills = grain(24, generator, SIDE)
    eosin = 0.42 + 0.10 * fibres + 0.10 * hills
    haematoxylin = 0.12 + 0.05 * grain(6, generator, SIDE) + 0.04 * fibres
    rings = []
    for _ in range(int(generator.integers(0, 3))):
        centre, axes = generator.uniform(20, SIDE - 20, 2), generator.uniform(34, 60, 2)
        angle = float(generator.uniform(0, 180))
        for stain, cuff, lumen in ((eosin, 0.36, 0.03), (haematoxylin, 0.26, 0.01)):
            _ellipse(stain, centre, axes * 1.25, angle, cuff)
            _ellipse(stain, centre, axes * 0.45, angle, lumen)
        around = np.arange(0, 2 * np.pi, 15 / axes.mean()) + generator.uniform(0, 1)
        turn = np.deg2rad(angle)
        spokes = np.stack([np.cos(around), np.sin(around)], axis=-1) * axes * generator.normal(1, 0.06, (len(around), 1))
        rings.append(centre + spokes @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]))
    for _ in range(int(generator.integers(0, 7))):  # red cells
        _ellipse(eosin, generator.uniform(0, SIDE, 2), generator.uniform(4.5, 6.5, 2), 0.0, float(generator.uniform(0.8, 1.1)))
    for _ in range(int(generator.integers(0, 5))):  # what lies out of focus
        _ellipse(haematoxylin, generator.uniform(0, SIDE, 2), generator.uniform(5, 11, 2), 0.0, 0.45)
    haematoxylin, eosin = (cv2.GaussianBlur(field, (0, 0), 2.0).astype(np.float32) for field in (haematoxylin, eosin))
    eosin += np.float32(0.04) * grain(1.5, generator, SIDE)
    return Scene(haematoxylin, eosin, grain(1.1, generator, SIDE).astype(np.float32)), rings


def _ellipse(field: np.ndarray, centre: np.ndarray, axes: np.ndarray, angle: float, value: float) -> None:
    """Fill an ellipse at ``centre`` (x, y)."""
    whole = [(int(x), int(y)) for x, y in (centre, axes)]
    cv2.ellipse(field, whole[0], whole[1], angle, 0, 360, value, -1, cv2.LINE_AA)


def _propose(scene: Scene, shape: Shape, rings: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """Where to try a nucleus, (x, y): on a gland, beside another nucleus, or anywhere."""
    if shape.kind.name == "epithelial" and rings and generator.random() < 0.75:
        ring = rings[int(generator.integers(len(rings)))]
        return np.asarray(ring[int(generator.integers(len(ring)))] + generator.normal(0, 1.5, 2))
    if scene.placed and generator.random() < TOUCHING:
        other = scene.placed[int(generator.integers(len(scene.placed)))]
        distance = (other.radius + shape.radius) * generator.uniform(0.82, 1.02)
        return np.asarray(other.centre + distance * np.array(direction(generator)))
    return generator.uniform(-2, SIDE + 2, 2)


def _place(scene: Scene, shape: Shape, spot: np.ndarray, generator: np.random.Generator) -> bool:
    """Put a nucleus at ``spot`` (x, y) unless it would hide or cut another, or be cut itself; whether it was put."""
    reach = len(shape.depth) // 2
    left, top = (int(value) - reach for value in np.floor(spot))
    box = np.s_[max(top, 0) : max(top + 2 * reach + 1, 0), max(left, 0) : max(left + 2 * reach + 1, 0)]
    instances = scene.labels[box][..., 0]
    part = np.s_[max(-top, 0) :, max(-left, 0) :]
    depth, body = (field[part][: instances.shape[0], : instances.shape[1]] for field in (shape.depth, shape.body))
    inside = depth > 0
    if inside.sum() < MIN_AREA or not _in_one_piece(inside):
        return False
    for number in np.unique(instances[inside]):
        if number and not _stays_visible(scene, int(number), box, inside):
            return False
    _stain(scene, shape.kind, box, depth, body, generator)
    scene.placed.append(Placed(np.asarray(spot, float), shape.radius, int(inside.sum()), box))
    scene.labels[box][inside] = len(scene.placed), LIZARD_CLASSES.index(shape.kind.name) + 1
    return True


def _stays_visible(scene: Scene, number: int, box: tuple[slice, slice], inside: np.ndarray) -> bool:
    """Whether nucleus ``number`` is still mostly there, and in one piece, when the pixels ``inside`` of ``box`` are another's."""
    placed = scene.placed[number - 1]
    left = (scene.labels[placed.box][..., 0] == number).astype(np.uint8)
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[box] = inside
    left[hidden[placed.box]] = 0
    return bool(left.sum() >= VISIBLE * placed.area) and _in_one_piece(left)


def _in_one_piece(mask: np.ndarray) -> bool:
    return int(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0]) == 2


def _stain(
    scene: Scene, kind: Kind, box: tuple[slice, slice], depth: np.ndarray, body: np.ndarray, generator: np.random.Generator
) -> None:
    """Paint a nucleus into both densities: its body where no nucleus lies, then itself, thinly over what it covers."""
    haematoxylin, eosin = scene.haematoxylin[box], scene.eosin[box]
    taken = scene.labels[box][..., 0] > 0
    if kind.body:
        around = np.clip(body + 0.5, 0, 1) * ~taken
        haematoxylin += around * (kind.body_stains[0] - haematoxylin)
        eosin += around * (kind.body_stains[1] * np.maximum(1 + 0.18 * scene.clumps[box], 0) - eosin)
    cover = np.clip(depth + 0.5, 0, 1)
    rim = kind.rim * np.exp(-((np.maximum(depth, 0) / 1.4) ** 2))
    inside = (kind.haematoxylin + rim) * (1 + kind.clumps * scene.clumps[box]) * float(np.exp(generator.normal(0, 0.08)))
    haematoxylin += cover * (np.maximum(inside, 0.1) + 0.3 * haematoxylin * taken - haematoxylin)
    eosin += cover * (0.22 - eosin)


def make_demo(folder: Path) -> None:
    """The data of ``make demo TASK=lizard``."""
    print("making nuclei for the demo (seeded, of six H&E-like kinds; no patient's)", flush=True)
    make_nuclei(folder / "arrays", PATCHES)
