"""One scale for the folds' models and their ensemble; probabilities of it that are as sure as they may be."""

import numpy as np
import pytest
from scipy.special import expit

LEVELS, SCALES = np.array([0.5, -0.4, 0.0, 0.3, -0.4]), np.array([1.2, 0.8, 1.0, 1.1, 0.9])


def simulated(own=0.6, count=4000, seed=0, levels=0.0, scales=1.0):
    """Labels, folds, held-out logits (n,), and logits (n, 5) by every model: signal of all and a part of each one's own, whose standard
    deviation is ``own``."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.2).astype(int)
    signal = 2.0 * labels + generator.normal(0, 0.8, count)
    logits = (signal[:, None] + generator.normal(0, own, (count, 5))) * scales + levels
    folds = generator.integers(0, 5, count)
    return labels, folds, logits[np.arange(count), folds], logits


def learnt(folds, logits):
    return np.where(np.arange(logits.shape[1]) == folds[:, None], np.nan, logits)


def test_levels_and_scales_are_found_without_labels():
    from pathology.tasks.msi.calibration import SharedScale

    _, folds, held_out, logits = simulated(levels=LEVELS, scales=SCALES)
    shared = SharedScale.of(learnt(folds, logits))
    assert shared.scales == pytest.approx(SCALES, abs=0.05)
    assert shared.levels == pytest.approx(
        LEVELS + SCALES * 0.4 - (LEVELS + SCALES * 0.4).mean(), abs=0.05
    )  # the mean signal is 0.4
    aligned = shared.align(logits)
    assert aligned.mean(axis=0) == pytest.approx(np.full(5, aligned.mean()), abs=0.06)
    assert shared.align(held_out, folds) == pytest.approx(aligned[np.arange(len(folds)), folds])
    assert shared.between_models == pytest.approx(0.36, rel=0.1)


def test_two_models_have_nobody_in_common():
    from pathology.tasks.msi.calibration import SharedScale

    _, folds, _, logits = simulated(count=20)
    shared = SharedScale.of(learnt(folds % 2, logits[:, :2]))
    assert (shared.levels.tolist(), shared.scales.tolist(), shared.between_models) == ([0, 0], [1, 1], 0)


def test_a_model_that_says_the_same_of_everybody_has_no_scale():
    from pathology.tasks.msi.calibration import SharedScale

    _, folds, _, logits = simulated(count=200)
    logits[:, 2] = 0.3
    assert SharedScale.of(learnt(folds, logits)).scales.tolist() == [1] * 5


@pytest.mark.parametrize(("levels", "scales"), [(0.0, 1.0), (LEVELS, SCALES)])
def test_probabilities_of_the_ensemble_are_as_sure_as_they_may_be(levels, scales):
    """Without the averaging taken into account the slope would be (0.8² + 0.6²) / (0.8² + 0.6² / 5) = 1.40."""
    from pathology.metrics.calibration import calibration_intercept, calibration_slope
    from pathology.tasks.msi.calibration import calibrate

    labels, folds, held_out, logits = simulated(levels=levels, scales=scales)
    calibration, of_training = calibrate(labels, held_out, folds, learnt(folds, logits))
    new_labels, _, _, new = simulated(seed=1, levels=levels, scales=scales)
    probability = np.array([calibration.probabilities(calibration.align(row).mean()) for row in new])
    assert calibration.averaging == pytest.approx(1.40, abs=0.1) and not calibration.floored
    assert calibration_slope(new_labels, probability).value == pytest.approx(1.0, abs=0.12)
    assert abs(calibration_intercept(new_labels, probability).value) < 0.15
    assert of_training.mean() == pytest.approx(labels.mean(), abs=0.03)


def test_scores_that_tell_nothing_keep_their_order_and_say_so():
    from pathology.tasks.msi.calibration import LEAST_SLOPE, calibrate

    labels, folds, held_out, logits = simulated()
    calibration, probability = calibrate(labels, -held_out, folds, learnt(folds, -logits))
    assert (calibration.floored, calibration.slope, calibration.averaging) == (True, LEAST_SLOPE, 1.0)
    assert probability.mean() == pytest.approx(labels.mean(), abs=1e-6) and np.ptp(probability) < 0.1


def test_an_ensemble_of_before_has_the_mean_of_its_folds():
    from pathology.tasks.msi.artefact import Calibration, Ensemble

    class Config:
        calibration = None

    logits = [0.3, -1.0, 2.0]
    mean, folds = Ensemble(Config(), "a" * 64, ()).probabilities(logits)
    assert folds == pytest.approx(expit(logits)) and mean == pytest.approx(np.mean(expit(logits)))
    Config.calibration = Calibration(
        levels=(0.1, 0.0, -0.1), scales=(1.0, 2.0, 0.5), centre=0.5, slope=2.0, intercept=-1.0, averaging=1.2, floored=False
    )
    mean, folds = Ensemble(Config(), "a" * 64, ()).probabilities(logits)
    aligned = [0.2, -0.25, 3.7]
    assert folds == pytest.approx(expit(2 * np.array(aligned) - 1)) and mean == pytest.approx(expit(2 * np.mean(aligned) - 1))
