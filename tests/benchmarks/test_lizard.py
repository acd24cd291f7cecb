"""The lizard benchmark, small: the figures are what they say."""

import numpy as np
import pytest
from pathology.models.tiny import make_tiny_encoder

from benchmarks import lizard
from demo.nuclei import make_nuclei

pytestmark = pytest.mark.slow


def test_figures_are_of_held_out_patches(tmp_path):
    """What is learnt, and that it is not by chance, is tests/pathology/models/test_lizard_learning.py's to show."""
    make_nuclei(tmp_path / lizard.DATA, 48, sources=16)
    lizard.prepare(tmp_path)
    found = lizard.learn(tmp_path, lizard.learning_settings(epochs=4))
    assert found["untrained_bpq"] < 0.15 < found["heldout_bpq"]
    low, high = found["heldout_bpq_interval"]
    assert low <= found["heldout_bpq"] <= high and found["heldout_dice"] > found["untrained_dice"]
    assert found["postprocessing_patches_per_s"] > 0 and found["train_seconds"] > 0
    patches = lizard.held_out(tmp_path)
    assert found["test_patches"] == len(patches) and found["test_sources"] == len({row.source for row in patches.rows}) > 1


def test_real_patches_are_learnt_by_heart(shared_data, tmp_path):
    make_tiny_encoder(tmp_path / lizard.MODELS)
    found = lizard.learn_by_heart(shared_data / "nuclei", tmp_path, epochs=1)
    assert found["overfit_dice"] > 0.5
    assert 0 <= found["overfit_bpq"] <= 1 and np.isfinite(found["overfit_seconds"])
