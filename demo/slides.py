"""Slides to try the pipelines on: real pyramidal SVS files of painted tissue, in two classes that overlap.

What differs between the classes is what a pathologist looks for in microsatellite instability, lymphocytes among the tumour
and fewer well-formed glands, drawn from distributions that overlap, under stains that vary more from patient to patient.
"""

from __future__ import annotations

import csv
import io
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import tifffile
from pathology.contracts.storage import atomic_write, temp_sibling

PATIENTS, POSITIVES = 64, 26
"""Of the demo's cohort."""
MPP = 0.5
TILE = 240
JPEG_QUALITY = 82
SITES = ("D1", "D2", "D3", "D4")
SIDES = (1600, 2001)
"""Bounds of a slide's width and height in px."""

SEPARATION = 2.6
"""Distance of the classes' means in standard deviations of the patients; the best test there is has AUROC Φ(d/√2)."""

GLASS = 243.0
"""Grey of bare glass under the lamp."""

BAND = 64
COARSE = 100
"""Noise with longer hills than this many px is drawn at a quarter of the size."""

STAINS = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]], np.float32)
"""Optical density in R, G, B of haematoxylin and of eosin (reference of Macenko et al. 2009)."""


@dataclass(frozen=True)
class Patient:
    """A patient to paint: ``barcode`` of 12 characters, MSI ``status`` as in Liu et al. 2018, and how many slides."""

    barcode: str
    status: str
    slides: int
    seed: int


@dataclass(frozen=True)
class Look:
    """What is the patient's own: ``lymphocytes`` per mm² of tissue, share of ``glands``, and the strength of both stains."""

    lymphocytes: float
    glands: float
    haematoxylin: float
    eosin: float


def make_slides(folder: Path, labels: Path, *, patients: int = 48, positives: int = 18, seed: int = 0, workers: int = 2) -> None:
    """Write ``<barcode>-01Z-00-DX1.<uuid>.svs`` slides to ``folder`` and their MSI table, in Liu's columns, to ``labels``.

    ``positives`` of the ``patients`` are MSI-H. One patient more has a slide and the status ``NA``, one a status and no
    slide, as happens. The same ``seed`` gives the same bytes.

    Raises:
        ValueError: when there are not fewer positives than patients.
    """
    if not 0 < positives < patients:
        raise ValueError(f"{positives} positives of {patients} patients: both classes are needed")
    folder.mkdir(parents=True, exist_ok=True)
    cohort = _cohort(patients, positives, seed)
    atomic_write(labels, _label_table(cohort))
    work = [(folder, patient, number) for patient in cohort for number in range(1, patient.slides + 1)]
    if workers == 1:
        for item in work:
            _make_slide(*item)
        return
    # Spawned, not forked: a fork of a process whose libraries run threads waits for locks that nobody holds.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_make_slide, *zip(*work, strict=True), chunksize=4))


def _cohort(patients: int, positives: int, seed: int) -> list[Patient]:
    generator = np.random.default_rng([seed, 1])
    statuses = ["MSI-H"] * positives + ["MSI-L" if i % 5 == 0 else "MSS" for i in range(patients - positives)]
    order = generator.permutation(patients)
    members = []
    for number, index in enumerate(order, start=1):
        slides = 2 if number % 12 == 0 else 1
        members.append(Patient(_barcode(number), statuses[index], slides, int(generator.integers(2**31))))
    members.append(Patient(_barcode(patients + 1), "NA", 1, int(generator.integers(2**31))))
    return [*members, Patient(_barcode(patients + 2), "MSS", 0, 0)]


def _barcode(number: int) -> str:
    return f"TCGA-{SITES[number * 7 % 11 % len(SITES)]}-{number:04d}"


def _label_table(cohort: list[Patient]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["TCGA Participant Barcode", "TCGA Project Code", "MSI Status"])
    writer.writerows([patient.barcode, "COAD", patient.status] for patient in cohort)
    return text.getvalue().encode()


def _look(patient: Patient) -> Look:
    """The patient's own traits: one latent value carries the class, the rest is chance."""
    generator = np.random.default_rng([patient.seed, 2])
    latent = generator.normal(SEPARATION if patient.status == "MSI-H" else 0.0)
    return Look(
        lymphocytes=float(450 * np.exp(0.6 * latent + generator.normal(0, 0.15))),
        glands=float(np.clip(0.75 - 0.12 * latent + generator.normal(0, 0.06), 0.1, 1.0)),
        haematoxylin=float(np.exp(generator.normal(0, 0.05))),
        eosin=float(np.exp(generator.normal(0, 0.06))),
    )


def _make_slide(folder: Path, patient: Patient, number: int) -> None:
    cv2.setNumThreads(1)  # the processes are the parallelism, and one thread gives one order of sums
    generator = np.random.default_rng([patient.seed, 3, number])
    name = uuid.UUID(bytes=generator.bytes(16), version=4)
    pixels = paint(_look(patient), generator)
    path = folder / f"{patient.barcode}-01Z-00-DX{number}.{str(name).upper()}.svs"
    beside = temp_sibling(path)
    try:
        write_svs(beside, pixels)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_svs(path: Path, pixels: np.ndarray, mpp: float = MPP) -> None:
    """Write (H, W, 3) uint8 as an Aperio SVS: tiled JPEG levels at 1 and 4, a thumbnail between them, ``mpp`` as text."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels[: height // 4 * 4, : width // 4 * 4], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    library = "Aperio Image Library v12.0.15 \r\n"
    size = f"{library}{width}x{height} [0,0 {width}x{height}]"
    kind = f"JPEG/RGB Q={JPEG_QUALITY}"
    figures = f"|AppMag = {round(10 / mpp)}|MPP = {mpp:.4f}|ImageID = 1|OriginalWidth = {width}|OriginalHeight = {height}"
    with tifffile.TiffWriter(path) as svs:
        shared = {"photometric": "rgb", "compression": "jpeg", "metadata": None, "software": False}
        jpeg = {"level": JPEG_QUALITY, "subsampling": (2, 2)}
        for level, text in (
            (pixels, f"{size} ({TILE}x{TILE}) {kind}{figures}"),
            (None, f"{size} -> {small.shape[1]}x{small.shape[0]} - {figures}"),
            (small, f"{size} ({TILE}x{TILE}) -> {small.shape[1]}x{small.shape[0]} {kind}{figures}"),
        ):
            layout = {"rowsperstrip": 16} if level is None else {"tile": (TILE, TILE)}
            svs.write(small if level is None else level, description=text, compressionargs=jpeg, **layout, **shared)


def paint(look: Look, generator: np.random.Generator) -> np.ndarray:
    """A slide of tissue on glass, (H, W, 3) uint8, sides between 1,600 and 2,000 px at 0.5 µm/px."""
    height, width = (int(side) for side in generator.integers(*SIDES, size=2))
    tissue = _tissue(height, width, generator)
    fibres = _bent(_noise((height, width), (12, 90), generator), generator)
    eosin = (0.50 + 0.10 * fibres + 0.10 * _noise((height, width), (220, 220), generator)) * tissue
    haematoxylin = (0.10 + 0.03 * _noise((height, width), (30, 30), generator)) * tissue
    nuclei = np.zeros((height, width), np.uint8)
    _glands(haematoxylin, eosin, nuclei, tissue, look, generator)
    haematoxylin, eosin = (cv2.blur(field, (5, 5)) * tissue for field in (haematoxylin, eosin))
    area = float(tissue.sum()) * (MPP / 1000) ** 2
    for axes, count, shade in (((3, 10), 420 * area, 150), ((6, 6), look.lymphocytes * area, 215)):
        _scatter(nuclei, tissue, axes, round(count), shade, generator)
    grain = generator.standard_normal((height // 2 + 1, width // 2 + 1), np.float32)
    grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    stained = cv2.GaussianBlur(nuclei, (0, 0), 1.0).astype(np.float32) / 255 * (1.25 + 0.18 * grain)
    haematoxylin = np.maximum(haematoxylin, stained * (tissue > 0.3)) * look.haematoxylin
    covered = 1 - nuclei.astype(np.float32) * np.float32(0.45 / 255)
    eosin = np.maximum(eosin * (1 + 0.05 * grain) * covered, 0) * look.eosin
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, BAND):  # in bands that stay in the processor's cache
        band = np.s_[top : top + BAND]
        density = cv2.transform(cv2.merge([haematoxylin[band], eosin[band]]), STAINS.T)
        pixels[band] = cv2.convertScaleAbs(cv2.exp(-density), alpha=GLASS)
    return pixels


def _noise(shape: tuple[int, int], scale: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit variance, about ``scale`` px from hill to hill, (H, W) float32."""
    if min(scale) >= COARSE:
        quarter = _noise((shape[0] // 4 + 1, shape[1] // 4 + 1), (scale[0] // 4, scale[1] // 4), generator)
        return np.asarray(cv2.resize(quarter, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))
    coarse = [int(np.ceil(side / step)) + 3 for side, step in zip(shape, scale, strict=True)]
    field = generator.normal(0, 1, coarse).astype(np.float32)
    large = cv2.resize(field, (coarse[1] * scale[1], coarse[0] * scale[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large[scale[0] : scale[0] + shape[0], scale[1] : scale[1] + shape[1]])


def _bent(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """``field`` pulled about, so that nothing in it runs straight."""
    rows, columns = np.indices(field.shape, dtype=np.float32)
    down, across = (_noise(field.shape, (240, 240), generator) * 70 for _ in range(2))
    return np.asarray(cv2.remap(field, columns + across, rows + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


def _tissue(height: int, width: int, generator: np.random.Generator) -> np.ndarray:
    """A ragged piece on glass, sometimes torn: 0 to 1, (H, W) float32, with soft edges; drawn at half the size."""
    shape = (height // 2 + 1, width // 2 + 1)
    rows, columns = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
    tilt = np.float32(generator.uniform(-0.35, 0.35))
    across = (columns[None, :] + tilt * rows[:, None]) / 0.86
    distance = np.hypot(across, (rows[:, None] - tilt * columns[None, :]) / 0.84)
    ragged = 0.13 * _noise(shape, (130, 130), generator) + 0.02 * _noise(shape, (14, 14), generator)
    tears = _noise(shape, (210, 150), generator) > 1.55
    inside = np.clip((0.95 + ragged - distance) * 60, 0, 1) * np.where(tears, np.float32(0.03), np.float32(1))
    soft = cv2.GaussianBlur(inside, (0, 0), 1.25)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))


def _glands(
    haematoxylin: np.ndarray,
    eosin: np.ndarray,
    nuclei: np.ndarray,
    tissue: np.ndarray,
    look: Look,
    generator: np.random.Generator,
) -> None:
    """Paint crypts on a loose grid: a pale lumen, a cuff of cytoplasm, nuclei standing at its base."""
    step = 150
    for y in range(step // 2, nuclei.shape[0], step):
        for x in range(step // 2, nuclei.shape[1], step):
            centre = np.array([x, y]) + generator.integers(-45, 46, 2)
            axes = generator.uniform(38, 62, 2)
            angle = float(generator.uniform(0, 180))
            present = generator.random() < look.glands
            inside = tissue[min(centre[1], tissue.shape[0] - 1), min(centre[0], tissue.shape[1] - 1)] > 0.9
            if not (present and inside):
                continue
            middle = (int(centre[0]), int(centre[1]))
            for field, cuff, lumen in ((eosin, 0.36, 0.05), (haematoxylin, 0.24, 0.02)):
                cv2.ellipse(field, middle, _whole(axes), angle, 0, 360, cuff, -1, cv2.LINE_AA)
                cv2.ellipse(field, middle, _whole(axes * 0.42), angle, 0, 360, lumen, -1, cv2.LINE_AA)
            turn = np.deg2rad(angle)
            rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            for around in np.arange(0, 2 * np.pi, 13 / axes.mean()) + generator.uniform(0, 1):
                spoke = axes * generator.normal(0.82, 0.04) * (np.cos(around), np.sin(around))
                spot = centre + spoke @ rotation
                along = float(np.rad2deg(around + turn))
                shade = int(generator.integers(140, 200))
                cv2.ellipse(nuclei, _whole(spot), _whole(generator.uniform((8, 4), (11, 6))), along, 0, 360, shade, -1)


def _scatter(
    nuclei: np.ndarray, tissue: np.ndarray, axes: tuple[int, int], count: int, shade: int, generator: np.random.Generator
) -> None:
    """Paint ``count`` nuclei of about ``axes`` px where there is tissue, in crowds rather than evenly."""
    crowd = np.clip(_noise(nuclei.shape, (180, 180), generator) + 0.9, 0.05, 2.5) / 2.5
    spots = generator.integers(0, [nuclei.shape[1], nuclei.shape[0]], (count * 8 + 8, 2))
    chance = generator.random(len(spots)) * 0.9
    kept = spots[(tissue[spots[:, 1], spots[:, 0]] * crowd[spots[:, 1], spots[:, 0]]) > chance][:count]
    sizes = np.maximum(2, generator.normal(axes, 1.0, (len(kept), 2)))
    turns = generator.uniform(0, 180, len(kept))
    shades = np.clip(generator.normal(shade, 18, len(kept)), 90, 255)
    for spot, size, turn, dark in zip(kept, sizes, turns, shades, strict=True):
        cv2.ellipse(nuclei, _whole(spot), _whole(size), float(turn), 0, 360, int(dark), -1)


def _whole(pair: np.ndarray) -> tuple[int, int]:
    return round(float(pair[0])), round(float(pair[1]))


def make_demo(folder: Path) -> None:
    """The data of ``make demo``: a small cohort, its slides and its table of labels."""
    print("making slides for the demo (seeded, with H&E-like textures; no patient's)", flush=True)
    (folder / "slides").mkdir(parents=True)
    make_slides(folder / "slides", folder / "labels" / "labels.csv", patients=PATIENTS, positives=POSITIVES)
