"""A head by eva's protocol: its first step by hand, which epoch it keeps, when it ends, and that it learns."""

import math

import numpy as np
import pytest
from pathology.contracts.errors import DataError

DIMENSION = 5


def made(count, seed, scale=1.0):
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(float)
    features = generator.normal(size=(count, DIMENSION)).astype(np.float16)
    features[:, 0] += (scale * (2 * labels - 1)).astype(np.float16)
    return features, labels


def protocol(**changed):
    from pathology.patches.eva import EvaProtocol

    return EvaProtocol(**{"steps": 300, "batch_size": 16, "learning_rate": 0.01, "patience": 1000, **changed})


def test_the_settings_are_those_that_eva_publishes():
    from pathology.patches.eva import EVA

    assert (EVA.steps, EVA.batch_size, EVA.learning_rate, EVA.weight_decay, EVA.runs) == (12_500, 256, 3e-4, 0.01, 5)
    assert EVA.patience == round(0.2 * math.ceil(EVA.steps / math.ceil(2175 / EVA.batch_size)))


def test_the_first_step_is_adamws():
    """By hand: from weights w and their gradient g to w (1 − rate × decay) − rate × g / (|g| + 1e-8)."""
    import torch
    from pathology.patches.eva import fit_run

    features, labels = made(12, 0)
    run = fit_run(features, labels, features, labels.astype(int), protocol(steps=1, weight_decay=0.5), seed=3)
    torch.manual_seed(3)
    start = torch.nn.Linear(DIMENSION, 1)
    weight, bias = start.weight.detach().numpy()[0].astype(float), float(start.bias.detach())
    inputs = features.astype(float)
    error = 1 / (1 + np.exp(-(inputs @ weight + bias))) - labels
    gradient = np.append(error @ inputs, error.sum()) / len(labels)
    expected = np.append(weight, bias) * (1 - 0.01 * 0.5) - 0.01 * gradient / (np.abs(gradient) + 1e-8)
    assert np.append(run.head.weight, run.head.bias) == pytest.approx(expected, abs=1e-6)
    assert run.epoch == 1


def test_it_keeps_the_first_of_the_best_epochs_on_the_test():
    """A run that ends with that epoch is the same run, and every longer or shorter one is no better on the test."""
    from pathology.patches.eva import balanced_accuracy, fit_run

    (features, labels), (test, truth) = made(64, 1, 0.3), made(40, 2, 0.3)
    truth = truth.astype(int)
    kept = fit_run(features, labels, test, truth, protocol(), seed=0)
    assert 1 < kept.epoch < 75  # four steps an epoch
    called = (kept.head.probabilities(test) >= 0.5).astype(int)
    assert balanced_accuracy(truth, called) == kept.balanced_accuracy
    ended = fit_run(features, labels, test, truth, protocol(steps=4 * kept.epoch + 3), seed=0)  # a part of an epoch more
    assert (ended.epoch, ended.balanced_accuracy) == (kept.epoch, kept.balanced_accuracy)
    assert np.array_equal(ended.head.weight, kept.head.weight)
    before = fit_run(features, labels, test, truth, protocol(steps=4 * (kept.epoch - 1)), seed=0)
    assert before.balanced_accuracy < kept.balanced_accuracy
    assert not np.array_equal(fit_run(features, labels, test, truth, protocol(), seed=1).head.weight, kept.head.weight)


def test_it_ends_when_no_epoch_has_been_better_for_as_long_as_patience(monkeypatch):
    from pathology.patches import eva

    scores = iter([0.5, 0.7, 0.7, 0.6, 0.65, 0.9])
    monkeypatch.setattr(eva, "balanced_accuracy", lambda truth, called: next(scores))
    features, labels = made(16, 0)
    run = eva.fit_run(features, labels, features, labels.astype(int), protocol(patience=3), seed=0)
    assert (run.epoch, run.balanced_accuracy, next(scores)) == (2, 0.7, 0.9)
    with pytest.raises(DataError, match="protocol eva: 1 steps do not make an epoch of 17 patches"):
        eva.fit_run(*made(17, 0), features, labels.astype(int), protocol(steps=1), seed=0)


def test_it_learns_what_holds_for_patches_that_chose_nothing():
    """And with permuted labels nothing does, though the best epoch on the test still looks better than a coin."""
    from pathology.metrics.ranking import auroc
    from pathology.patches.eva import fit_run

    (features, labels), (test, truth), (others, held) = made(200, 3), made(80, 4), made(400, 5)
    learnt = fit_run(features, labels, test, truth.astype(int), protocol(), seed=0)
    assert auroc(held.astype(int), learnt.head.probabilities(others)) > 0.85
    generator = np.random.default_rng(0)
    permuted = [generator.permutation(each) for each in (labels, truth, held)]
    nothing = fit_run(features, permuted[0], test, permuted[1].astype(int), protocol(), seed=0)
    assert 0.4 < auroc(permuted[2].astype(int), nothing.head.probabilities(others)) < 0.6
    assert nothing.balanced_accuracy > 0.5
