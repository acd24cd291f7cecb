"""What the lizard task promises of its network and its post-processing: ``python -m benchmarks.lizard``.

Painted nuclei of six classes go through PrepareLizard and TrainLizard as jobs do, with the tiny encoder, and the packed model
outlines the test patches, which come from four other source images: too few for an interval, so that ``heldout_bpq`` and
``heldout_dice`` have the range of their values as each of the four is left out. ``untrained_bpq`` and ``untrained_dice`` are those of
the same network before its first step, which a model that learnt nothing would reach. ``train_seconds`` is all of TrainLizard. The
settings were chosen on nuclei of seed 1; figures are of seed 0.

``overfit_bpq``: eight real patches, overfitted without augmentation, outlined again; left out where there are none.
``postprocessing_patches_per_s``: label maps a second out of the model's maps of the test patches, by the CPU time of one thread.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from unittest.mock import patch

import numpy as np
import typer

from benchmarks.measure import REPOSITORY, print_figures

if TYPE_CHECKING:
    from pathology.contracts.lizard.train import TrainLizard
    from pathology.tasks.lizard.dataset import Nuclei
    from pathology.tasks.lizard.evaluation import Predicted
    from pathology.tasks.lizard.prediction import Predictor
    from pathology.tasks.lizard.scores import NucleiScores

DATA, PATCHES, MODELS, MODEL = "data", "patches", "models", "model"
"""Folders of the benchmark below its temporary one."""
SOURCES = 16
REAL = REPOSITORY.parent / "shared" / "data" / "nuclei"
REAL_CLASSES = ("non_tumor", "tumor")
OVERFITTED, REPEATS = 8, 10
"""Real patches that are overfitted, and how often an epoch shows each, so that few epochs end in a validation."""
PARTS = 16
"""Pictures outlined together."""


def learning_settings(epochs: int) -> TrainLizard:
    """How the painted nuclei are learnt."""
    from pathology.contracts.lizard.train import TrainLizard

    return TrainLizard(epochs=epochs, batch_size=4, width=8, learning_rate=1e-2)


def prepare(folder: Path) -> None:
    """Prepare the patches painted below ``folder``, and write the tiny encoder."""
    from pathology.commands import prepare_lizard
    from pathology.contracts.lizard.prepare import PrepareLizardJob
    from pathology.contracts.prepared import FILE, PREPARED
    from pathology.contracts.uris import Uri
    from pathology.encoders.tiny import make_tiny_encoder
    from pathology.job import Job

    make_tiny_encoder(folder / MODELS)
    bucket, uris, output = "s3://benchmark", folder / "uris", folder / PREPARED
    for name in (DATA, MODELS):
        place = Uri.parse(f"{bucket}/{name}").under(uris)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((folder / name).absolute())
    output.mkdir()
    settings = PrepareLizardJob(
        dataset=f"{bucket}/{DATA}", encoder=f"{bucket}/{MODELS}", prepared=f"{bucket}/{PREPARED}", published_counts=False
    )
    job = Job("processing", folder, "prepare", "algo-1", ("algo-1",), {}, {PREPARED: output}, settings.as_strings())
    with patch.dict(os.environ, {"PATHOLOGY_URI_ROOT": str(uris)}):
        prepare_lizard.main(job)
    handed = json.loads((output / FILE).read_text())
    (folder / PATCHES).symlink_to(Uri.parse(handed["patches"]["uri"]).under(uris).absolute())


def train(folder: Path, settings: TrainLizard) -> float:
    """Run TrainLizard on what :func:`prepare` wrote; its seconds."""
    from pathology.commands import train_lizard
    from pathology.job import Job

    channels = {"training": folder / DATA, "models": folder / MODELS, "encoder": folder / MODELS, "patches": folder / PATCHES}
    job = Job("training", folder, "train", "algo-1", ("algo-1",), channels, {"model": folder / MODEL}, settings.as_strings())
    since = time.perf_counter()
    train_lizard.main(job)
    return time.perf_counter() - since


def held_out(folder: Path) -> Nuclei:
    """The held-out patches."""
    from pathology.tasks.lizard.dataset import Nuclei, read_prepared

    rows, dataset = read_prepared(folder / PATCHES)
    return Nuclei(folder / DATA, [row for row in rows if row.split == "test"], dataset, verify=False)


def outline(predictor: Predictor, patches: Nuclei) -> Predicted:
    """Find the nuclei of ``patches`` and hold them against the true ones."""
    from pathology.commands.evaluate_lizard import score
    from pathology.contracts.lizard.patches import LIZARD_CLASSES

    maps: list[np.ndarray] = []
    for start in range(0, len(patches), PARTS):
        maps += predictor.labels([patches[index][0] for index in range(start, min(start + PARTS, len(patches)))])
    return score(patches, np.stack(maps), LIZARD_CLASSES)


def scores_of(predicted: Predicted) -> NucleiScores:
    """Their scores, with intervals by source image."""
    from pathology.contracts.lizard.patches import LIZARD_CLASSES
    from pathology.tasks.lizard.scores import NucleiScores

    return NucleiScores.of(predicted.rows, LIZARD_CLASSES, resamples=1000, confidence=0.95, seed=0)


def untrained(folder: Path, settings: TrainLizard) -> NucleiScores:
    """The same scores before the first step."""
    import torch
    from pathology.commands.train_lizard import build
    from pathology.contracts.lizard.patches import LIZARD_CLASSES
    from pathology.nuclei.watershed import STANDARD
    from pathology.tasks.lizard.artefact import OVERLAP, SIDE
    from pathology.tasks.lizard.prediction import Predictor

    net = build(folder / MODELS, settings, len(LIZARD_CLASSES)).for_serving()
    return scores_of(outline(Predictor(net, torch.device("cpu"), STANDARD, SIDE, OVERLAP), held_out(folder)))


def learn(folder: Path, settings: TrainLizard) -> dict[str, float | Sequence[float]]:
    """Train, and score the packed model on held-out patches beside the untrained one."""
    from pathology.contracts.intervals import Interval
    from pathology.tasks.lizard.artefact import load_lizard

    seconds = train(folder, settings)
    patches, model = held_out(folder), load_lizard(folder / MODEL, folder / MODELS)
    before = untrained(folder, settings)
    after = scores_of(outline(model.predictor, patches))
    figures: dict[str, float | Sequence[float]] = {"train_seconds": seconds, "best_epoch": model.config.validation.epoch}
    for name in ("bpq", "dice"):
        measured = after.intervals[name]
        figures[f"heldout_{name}"] = measured.value
        figures[f"heldout_{name}_range"] = (
            [round(measured.low, 3), round(measured.high, 3)]
            if isinstance(measured, Interval)
            else [round(measured.lowest, 3), round(measured.highest, 3)]
        )
        figures[f"untrained_{name}"] = before.intervals[name].value
    figures |= {f"heldout_{name}": after.intervals[name].value for name in ("mpq", "mpq_plus", "aji", "detection_f1", "r2")}
    figures |= {f"heldout_pq_{kind}": scores.pq.value for kind, scores in after.by_class.items() if scores.pq is not None}
    return figures | {"test_patches": after.patches, "test_sources": after.sources} | speed(model.predictor, patches)


def speed(predictor: Predictor, patches: Nuclei) -> dict[str, float | Sequence[float]]:
    """Label maps by CPU second, out of the maps of up to 64 patches; the first is repeated, as imports are not part of it."""
    from pathology.nuclei.classes import label_map

    images = [patches[index][0] for index in range(min(64, len(patches)))]
    maps = list(predictor.maps(images))
    label_map(maps[0][0], maps[0][1:3], maps[0][3:], predictor.watershed)
    since = time.process_time()
    for each in maps:
        label_map(each[0], each[1:3], each[3:], predictor.watershed)
    return {"postprocessing_patches_per_s": len(maps) / (time.process_time() - since)}


def overfit(real: Path, folder: Path, epochs: int) -> dict[str, float | Sequence[float]]:
    """Overfit real patches; the same patches' bPQ."""
    import torch
    from pathology.commands.train_lizard import build
    from pathology.contracts.lizard.train import TrainLizard
    from pathology.tasks.lizard.batches import NuclearPatches
    from pathology.tasks.lizard.conic import read_conic
    from pathology.tasks.lizard.training import train, validate

    conic = read_conic(real, REAL_CLASSES)
    patches = [(np.array(conic.images[index]), np.array(conic.labels[index])) for index in range(OVERFITTED)]
    settings = TrainLizard(
        epochs=epochs, batch_size=4, width=16, learning_rate=3e-3, weight_decay=0.0, balance=0.0, augment=False, patience=epochs
    )
    net = build(folder / MODELS, settings, len(REAL_CLASSES))
    examples = NuclearPatches(patches, len(REAL_CLASSES))
    since = time.perf_counter()
    best = train(net, NuclearPatches(patches * REPEATS, len(REAL_CLASSES)), examples, settings, folder / "overfit")
    seconds = time.perf_counter() - since
    validation = validate(net, examples, best.epoch, torch.device("cpu"))
    return {"overfit_seconds": seconds, "overfit_bpq": validation.pq, "overfit_dice": validation.dice}


def lizard(
    patches: Annotated[int, typer.Option(help="Patches to paint.", min=2 * SOURCES)] = 320,
    epochs: Annotated[int, typer.Option(help="Epochs on the painted ones.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Of the painted ones.", min=0)] = 0,
    real: Annotated[Path, typer.Option(envvar="PATHOLOGY_NUCLEI", help="Real patches in CoNIC's four files.")] = REAL,
    real_epochs: Annotated[int, typer.Option(help="Epochs on the real ones, each of them ten times.", min=1)] = 10,
) -> None:
    """Learn painted nuclei and real ones, and time the post-processing."""
    from demo.nuclei import make_nuclei

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_nuclei(folder / DATA, patches, seed=seed, sources=SOURCES)
        prepare(folder)
        figures = learn(folder, learning_settings(epochs))
        if real.is_dir():
            figures |= overfit(real, folder, real_epochs)
        else:
            print(f"no real patches at {real.name}, and so no overfit_bpq: give --real")
    print_figures(figures)


if __name__ == "__main__":
    typer.run(lizard)
