"""HoVer-Net's losses against numbers worked out by hand."""

import math

import pytest


def test_nucleus():
    """Two px of four are nucleus and every probability is a half: Dice is 2·1 / (2 + 2)."""
    import torch
    from pathology.tasks.lizard.losses import SMOOTH, nucleus_loss

    truth = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    loss = nucleus_loss(torch.zeros(2, 2, 2), truth)
    assert loss[0] == pytest.approx(math.log(2) + 1 - (2 + SMOOTH) / (4 + SMOOTH), abs=1e-6)
    assert loss[1] == pytest.approx(math.log(2) + 1 - SMOOTH / (2 + SMOOTH), abs=1e-6)


def test_classes():
    """Three channels at a third each; of four px two are background, one of each class: the sum of three Dice losses, and the mean
    over all four px and over the two in nuclei."""
    import torch
    from pathology.tasks.lizard.losses import SMOOTH, class_loss

    truth = torch.tensor([[[0, 0], [1, 2]]])
    loss = class_loss(torch.zeros(1, 3, 2, 2), truth)
    background = 1 - (2 * 2 / 3 + SMOOTH) / (4 / 3 + 2 + SMOOTH)
    each = 1 - (2 * 1 / 3 + SMOOTH) / (4 / 3 + 1 + SMOOTH)
    assert loss[0] == pytest.approx(math.log(3) * (1 + 2 / (2 + SMOOTH)) + background + 2 * each, abs=1e-6)


def test_a_class_that_a_patch_has_not_is_left_to_cross_entropy():
    """Two channels' Dice at a third each; the third's would be 1."""
    import torch
    from pathology.tasks.lizard.losses import SMOOTH, class_loss

    loss = class_loss(torch.zeros(1, 3, 2, 2), torch.tensor([[[0, 0], [1, 1]]]))
    each = 1 - (2 * 2 / 3 + SMOOTH) / (4 / 3 + 2 + SMOOTH)
    assert loss[0] == pytest.approx(math.log(3) * (1 + 2 / (2 + SMOOTH)) + 2 * each, abs=1e-6)


def test_distances():
    """A constant error has no slope inside; one map wrong by a half is a quarter over two maps."""
    import torch
    from pathology.tasks.lizard.losses import distance_loss

    nucleus = torch.zeros(1, 9, 9)
    nucleus[0, 4, 4] = 1
    truth = torch.zeros(1, 2, 9, 9)
    wrong = truth.clone()
    wrong[:, 0] = 0.5
    assert distance_loss(wrong, truth, nucleus)[0] == pytest.approx(0.25 / 2, abs=1e-6)


@pytest.mark.parametrize(("channel", "axis"), [(0, 3), (1, 2)])
def test_slopes(channel, axis):
    """A ramp of 1 a px along a map's own axis: the 5×5 kernel gives Σ x²/(x² + y²), which is 12 by symmetry; across it gives 0."""
    import torch
    from pathology.tasks.lizard.losses import SMOOTH, distance_loss

    nucleus = torch.zeros(1, 9, 9)
    nucleus[0, 4, 4] = 1
    truth = torch.zeros(1, 2, 9, 9)
    steps = torch.arange(9.0)
    for along in (True, False):
        wrong = truth.clone()
        wrong[:, channel] = steps[None, :] if (axis == 3) == along else steps[:, None]
        squared = float((wrong**2).mean())
        slope = 12.0**2 / (1 + SMOOTH) if along else 0.0
        assert distance_loss(wrong, truth, nucleus)[0] == pytest.approx(squared + 2 * slope, rel=1e-5)


def test_a_perfect_answer_costs_almost_nothing_and_each_patch_has_its_own():
    import torch
    from pathology.tasks.lizard.losses import Targets, losses
    from pathology.tasks.lizard.model import Maps

    nucleus = torch.zeros(2, 16, 16)
    nucleus[0, 4:8, 4:8] = 1
    classes = nucleus.long() * 2
    distances = torch.rand(2, 2, 16, 16, generator=torch.Generator().manual_seed(0)) * nucleus[:, None]
    logits = torch.nn.functional.one_hot(classes, 4).movedim(-1, 1).float() * 60 - 30
    loss = losses(Maps(nucleus * 60 - 30, distances, logits), Targets(nucleus, distances, classes))
    assert loss.shape == (2,) and loss.max() < 1e-3
    spoilt = losses(Maps(nucleus * 60 - 30, distances + 1, logits), Targets(nucleus, distances, classes))
    alone = losses(
        Maps(*(value[1:] for value in (nucleus * 60 - 30, distances + 1, logits))),
        Targets(*(value[1:] for value in (nucleus, distances, classes))),
    )
    assert torch.allclose(spoilt[1:], alone)
    assert torch.allclose(spoilt, torch.ones(2), atol=1e-3)  # off by 1 everywhere: no slope is wrong


def test_half_precision_around_it_changes_nothing():
    import torch
    from pathology.tasks.lizard.losses import Targets, losses
    from pathology.tasks.lizard.model import Maps

    generator = torch.Generator().manual_seed(0)
    nucleus = (torch.rand(1, 32, 32, generator=generator) > 0.7).float()
    distances = torch.rand(1, 2, 32, 32, generator=generator)
    maps = Maps(*(torch.randn(1, *shape, 32, 32, generator=generator) for shape in ((), (2,), (4,))))
    targets = Targets(nucleus, distances, nucleus.long())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = losses(maps, targets)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, losses(maps, targets))
