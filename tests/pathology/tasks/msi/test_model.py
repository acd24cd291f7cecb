"""Gated attention: what a bag's probability must and must not depend on."""

import math

import pytest


@pytest.fixture
def model():
    import torch
    from pathology.tasks.msi.model import GatedAttention

    torch.manual_seed(0)
    return GatedAttention(dimension=6, hidden_size=8).eval()


def test_padding_changes_nothing(model):
    import torch

    bags = [torch.randn(count, 6) for count in (3, 7, 5)]
    padded = torch.full((3, 7, 6), 1e3)  # far from zero, so that a leak would show
    mask = torch.zeros(3, 7, dtype=torch.bool)
    for row, bag in enumerate(bags):
        padded[row, : len(bag)] = bag
        mask[row, : len(bag)] = True
    alone = torch.stack([model(bag.unsqueeze(0))[0] for bag in bags])
    assert torch.allclose(model(padded, mask), alone, atol=1e-6)
    _, attention = model.pool(padded, mask)
    assert torch.allclose(attention.sum(1), torch.ones(3))
    assert (attention[~mask] == 0).all()


def test_the_attention_that_is_shown_is_the_one_that_made_the_logit(model):
    import torch

    bag = torch.randn(9, 6)
    logit, attention = model.read(bag)
    assert attention.shape == (9,) and float(attention.sum()) == pytest.approx(1, abs=1e-6)
    with torch.inference_mode():
        assert logit == model.logit(bag) == float(model(bag[None])[0].double() - model.prior.double())
        pooled = attention @ model.project((bag - model.mean) / model.std)
        assert float(model.classify(pooled)) - float(model.prior) == pytest.approx(logit, abs=1e-6)


def test_the_order_of_tiles_changes_nothing(model):
    import torch

    bag = torch.randn(1, 9, 6)
    assert torch.allclose(model(bag), model(bag[:, torch.randperm(9)]), atol=1e-6)


def test_tiles_are_standardised(model):
    import torch

    bag = torch.randn(1, 9, 6)
    expected = model(bag)
    model.mean.fill_(3.0)
    model.std.fill_(2.0)
    assert torch.allclose(model(bag * 2 + 3), expected, atol=1e-5)
    model.std.zero_()  # a feature that never varied in training
    assert torch.isfinite(model(torch.full((1, 4, 6), 3.0))).all()


def test_the_prior_undoes_the_weight_of_positives(model):
    import torch

    bag = torch.randn(5, 6)
    before = model.logit(bag)
    model.prior.fill_(math.log(4))
    after = model.logit(bag)
    assert after == pytest.approx(before - math.log(4), abs=1e-5)


def test_half_precision_features_are_read(model):
    import torch

    bag = torch.randn(5, 6).half()
    assert model.logit(bag) == pytest.approx(model.logit(bag.float()), abs=1e-6)


def test_threads_follow_the_work_and_are_restored():
    import torch
    from pathology.tasks.msi.model import cpu_threads

    before = torch.get_num_threads()
    with cpu_threads(1e3):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
