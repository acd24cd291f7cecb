"""The lizard benchmark at a tenth of its size: nuclei are learnt from other source images, and the figures are what they say."""

import numpy as np
import pytest
from pathology.models.tiny import make_tiny_encoder

from benchmarks import lizard

pytestmark = pytest.mark.slow


def test_nuclei_are_learnt(tmp_path):
    """Far above the untrained network, below what the whole benchmark reaches."""
    lizard.make_data(tmp_path, 96, seed=0)
    found = lizard.learn(tmp_path, lizard.learning_settings(epochs=12))
    assert found["untrained_bpq"] < 0.15
    assert found["heldout_bpq_interval"][0] > 0.5
    assert found["heldout_dice_interval"][0] > 0.75
    assert found["heldout_mpq_plus"] > 0.14  # twice what calling every nucleus by the commonest class gives
    assert found["postprocessing_patches_per_s"] > 5
    assert found["test_patches"] == len(lizard.test_side(tmp_path)) and found["test_sources"] > 1


def test_real_patches_are_learnt_by_heart(shared_data, tmp_path):
    make_tiny_encoder(tmp_path / lizard.MODELS)
    found = lizard.learn_by_heart(shared_data / "nuclei", tmp_path, epochs=3)
    assert found["overfit_dice"] > 0.5
    assert 0 <= found["overfit_bpq"] <= 1 and np.isfinite(found["overfit_seconds"])
