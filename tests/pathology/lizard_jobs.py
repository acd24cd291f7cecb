"""A made data set of discs, prepared as PrepareLizard does, a packed model, and EvaluateLizard run on them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from msi_jobs import processing_job, strict_json
from packed import pack
from pathology.commands import prepare_lizard
from pathology.contracts.code import closure
from pathology.contracts.lizard.evaluate import EvaluateLizard, NucleiScoreRow
from pathology.contracts.lizard.patches import LIZARD_CLASSES, NucleiPatchRow
from pathology.contracts.lizard.prepare import PrepareLizardJob
from pathology.encoders.tiny import make_tiny_encoder
from pathology.metrics.panoptic import relabel
from pathology.nuclei.counts import central_counts
from pathology.nuclei.targets import distance_maps
from pathology.nuclei.watershed import STANDARD
from pathology.tasks.lizard.dataset import Nuclei, read_prepared
from prepare_jobs import gather, put, run_prepare
from scipy import ndimage

if TYPE_CHECKING:
    from torch import nn

SIDE, SOURCES, PATCHES = 64, 30, 3
TEST = 18  # six of the source images
DATASET_URI = "s3://bucket/lizard"
PER_CLASS = 36
"""Of the green channel: that times its class is what a nucleus looks like."""


def seeing() -> nn.Module:
    """In place of a network one that reads a made patch as it is painted: red is nuclei, green their class."""
    import torch
    from pathology.tasks.lizard.model import Maps

    class Seeing(torch.nn.Module):
        def forward(self, pixels):
            red = pixels[:, 0].numpy() > 127
            kinds = np.where(red, np.rint(pixels[:, 1].numpy() / PER_CLASS), 0).astype(int)
            maps = np.stack([distance_maps(ndimage.label(mask)[0]) for mask in red])
            classes = np.stack([kinds == number for number in range(len(LIZARD_CLASSES) + 1)], axis=1)
            nucleus, logits = (torch.from_numpy(20.0 * values - 10).float() for values in (red, classes))
            return Maps(nucleus, torch.from_numpy(maps), logits)

    return Seeing()


def made_patch(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture of discs (SIDE, SIDE, 3) and its labels (SIDE, SIDE, 2), which differ: discs are moved, left out, added, retyped."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image, labels = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE, 2), np.uint16)
    for number in range(1, generator.integers(6, 14)):
        (y, x), radius = generator.uniform(4, SIDE - 4, 2), generator.uniform(4, 7)
        kind = int(generator.integers(1, len(LIZARD_CLASSES) + 1))
        if generator.random() > 0.15:
            labels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number, kind
        if generator.random() > 0.15:
            painted = kind if generator.random() > 0.2 else 1 + kind % len(LIZARD_CLASSES)
            y, x = np.array([y, x]) + generator.normal(0, 0.8, 2)
            image[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 255, painted * PER_CLASS, 0
    labels[..., 0] = relabel(labels[..., 0])
    return image, labels


def write_conic(folder: Path, images: np.ndarray, labels: np.ndarray, names: list[str]) -> None:
    """The four files."""
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images)
    write_labels(folder, labels)
    (folder / "patch_info.csv").write_text("\n".join(["patch_info", *names]) + "\n")


def write_labels(folder: Path, labels: np.ndarray) -> None:
    """labels.npy, and the counts.csv that goes with it."""
    np.save(folder / "labels.npy", labels)
    counts = [",".join(map(str, central_counts(each, len(LIZARD_CLASSES)))) for each in labels]
    (folder / "counts.csv").write_text("\n".join([",".join(LIZARD_CLASSES), *counts]) + "\n")


def prepare(root: Path, dataset: Path, **settings) -> Path:
    """Run PrepareLizard on the four files in ``dataset``, at :data:`DATASET_URI`; its tables in one folder."""
    uris = root / "uris"
    put(uris, DATASET_URI, dataset)
    given = {"dataset": DATASET_URI, "published_counts": False, **settings}
    handed = run_prepare(prepare_lizard.main, root, uris, PrepareLizardJob, {}, **given)
    return gather(root / "patches", handed, "patches", "staging")


class LizardRun:
    """A made data set in CoNIC's files, prepared by its own command, and a packed model of random weights."""

    def __init__(self, root: Path) -> None:
        self.root, self.dataset = root, root / "dataset"
        generator = np.random.default_rng(5)
        made = [made_patch(generator) for _ in range(SOURCES * PATCHES)]
        self.images, self.labels = (np.stack(each) for each in zip(*made, strict=True))
        self.names = [f"{'glas' if source % 2 else 'crag'}_{source}-{n:04d}" for source in range(SOURCES) for n in range(PATCHES)]
        write_conic(self.dataset, self.images, self.labels, self.names)
        self.patches = self.prepare(root)
        self.models = root / "models"
        make_tiny_encoder(self.models)
        self.pack()

    def prepare(self, root: Path, **settings) -> Path:
        """PrepareLizard's output."""
        with contextlib.redirect_stdout(io.StringIO()):
            return prepare(root, self.dataset, **settings)

    @property
    def test(self) -> list[NucleiPatchRow]:
        """The test patches by name."""
        rows, _ = read_prepared(self.patches)
        return sorted((row for row in rows if row.split == "test"), key=lambda row: row.name)

    def pack(self, **changes) -> None:
        """Save and pack random weights as training does."""
        from nuclear_models import network, save
        from pathology.contracts.learned_from import LearnedFrom
        from pathology.tasks.lizard import serving
        from pathology.tasks.lizard.learned_from import items

        rows, dataset = read_prepared(self.patches)
        inputs = {"patches": dataset.patches_sha256}
        learnt = Nuclei(self.dataset, [row for row in rows if row.split != "test"], dataset)
        given = {"inputs": inputs, "learned_from": LearnedFrom.of(items(learnt), inputs).pack(), **changes}
        self.folder = save(self.root / "model", network(self.models), closure(serving.__name__), **given)
        self.archive = pack(self.folder, self.root / "packed") / "model.tar.gz"

    def load(self):
        """The packed model, with eyes for made patches."""
        import torch
        from pathology.tasks.lizard import serving
        from pathology.tasks.lizard.prediction import Predictor

        model = serving.load_lizard(self.folder, self.models)
        return replace(model, predictor=Predictor(seeing(), torch.device("cpu"), STANDARD, 256, 64))

    def evaluate(
        self, root: Path, seeing: bool = True, allow_seen: bool = False, **inputs
    ) -> tuple[dict, list[NucleiScoreRow], str]:
        """evaluation.json, predictions.csv and what was printed."""
        from pathology.commands.evaluate_lizard import main
        from pathology.tasks.lizard import serving

        given = {
            "model": self.archive.parent,
            "models": self.models,
            "encoder": self.models,
            "patches": self.patches,
            "dataset": self.dataset,
            **inputs,
        }
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patched:
            if seeing:
                patched.setattr(serving, "model_fn", lambda folder, encoder: self.load())
            main(processing_job(root, EvaluateLizard(resamples=200, allow_seen=allow_seen), given, ("evaluation",)))
        output = root / "evaluation"
        return strict_json(output / "evaluation.json"), NucleiScoreRow.read(output / "predictions.csv"), printed.getvalue()
