"""The lizard benchmark, small: the figures are what they say."""

import numpy as np
import pytest
from pathology.encoders.tiny import make_tiny_encoder
from pathology.metrics.panoptic import relabel
from pathology.nuclei.counts import central_counts

from benchmarks import lizard
from demo import nuclei

pytestmark = pytest.mark.slow

SIDE = 128
"""px: half of a real patch's side, and so a quarter of the work."""


def test_figures_are_of_held_out_patches(tmp_path, monkeypatch):
    """What is learnt, and that it is not by chance, is tests/pathology/tasks/lizard/test_learning.py's to show."""
    monkeypatch.setattr(nuclei, "SIDE", SIDE)
    nuclei.make_nuclei(tmp_path / lizard.DATA, 48, sources=16)
    lizard.prepare(tmp_path)
    figures = lizard.learn(tmp_path, lizard.learning_settings(epochs=2).model_copy(update={"batch_size": 1}))
    assert figures["untrained_bpq"] < 0.15 < figures["heldout_bpq"]
    low, high = figures["heldout_bpq_range"]
    assert low <= figures["heldout_bpq"] <= high and figures["heldout_dice"] > figures["untrained_dice"]
    assert figures["postprocessing_patches_per_s"] > 0 and figures["train_seconds"] > 0
    patches = lizard.held_out(tmp_path)
    assert figures["test_patches"] == len(patches) and figures["test_sources"] == len({row.source for row in patches.rows}) > 1


def test_real_patches_are_overfitted(shared_data, tmp_path):
    """A quarter of each of the first patches."""
    real, cut = shared_data / "nuclei", tmp_path / "cut"
    cut.mkdir()
    images, labels = (np.load(real / name)[:, :SIDE, :SIDE].copy() for name in ("images.npy", "labels.npy"))
    labels[..., 0] = [relabel(each) for each in labels[..., 0]]
    np.save(cut / "images.npy", images)
    np.save(cut / "labels.npy", labels)
    counts = [",".join(map(str, central_counts(each, len(lizard.REAL_CLASSES)))) for each in labels]
    (cut / "counts.csv").write_text("\n".join([",".join(lizard.REAL_CLASSES), *counts]) + "\n")
    (cut / "patch_info.csv").write_bytes((real / "patch_info.csv").read_bytes())
    make_tiny_encoder(tmp_path / lizard.MODELS)
    figures = lizard.overfit(cut, tmp_path, epochs=1)
    assert figures["overfit_dice"] > 0.5
    assert 0 <= figures["overfit_bpq"] <= 1 and np.isfinite(figures["overfit_seconds"])
