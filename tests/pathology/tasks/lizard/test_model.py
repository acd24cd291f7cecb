"""The nuclear network: any size in, the same size out; what is frozen stays, what is adapted moves."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.encoders.tiny import make_tiny_encoder

CLASSES = 6


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(folder)
    return folder


def pixels(*sizes):
    import torch
    from nuclear_models import picture

    return torch.from_numpy(np.stack([picture(seed, *size) for seed, size in enumerate(sizes)])).permute(0, 3, 1, 2)


@pytest.mark.parametrize("size", [(224, 224), (256, 256), (448, 448), (33, 101), (32, 257)])
def test_maps_have_the_size_of_the_picture(encoder, size):
    import torch
    from nuclear_models import network

    with torch.inference_mode():
        maps = network(encoder)(pixels(size, size))
    assert maps.nucleus.shape == (2, *size)
    assert maps.distances.shape == (2, 2, *size)
    assert maps.classes.shape == (2, CLASSES + 1, *size)
    assert all(value.dtype == torch.float32 and bool(torch.isfinite(value).all()) for value in maps)


@pytest.mark.parametrize("size", [(31, 64), (64, 31)])
def test_too_small_a_picture_is_refused(encoder, size):
    from nuclear_models import network

    with pytest.raises(DataError, match=f"the image is {size[1]} × {size[0]} px, and at least 32 a side are needed"):
        network(encoder)(pixels(size))


def test_a_patch_alone_gives_what_it_gives_among_others(encoder):
    import torch
    from nuclear_models import network

    net = network(encoder)
    batch = pixels((64, 64), (64, 64))
    with torch.inference_mode():
        together, alone = net(batch), net(batch[1:])
    for both, one in zip(together, alone, strict=True):
        assert torch.allclose(both[1:], one, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "step", "cell", "grid"),
    [((56, 72), 4, 14, (4, 6)), ((16, 40), 8, 14, (2, 3)), ((28, 28), 1, 14, (2, 2)), ((8, 8), 1, 14, (1, 1))],
)
def test_features_lie_where_they_were_seen(size, step, cell, grid):
    """Against bilinear interpolation, position by position: the middles of cells and of steps, edges continued."""
    import torch
    from pathology.tasks.lizard.model import lay

    features = torch.randn(2, 3, *grid, generator=torch.Generator().manual_seed(0))
    laid = lay(features, size, step, cell)
    assert laid.shape == (2, 3, size[0] // step, size[1] // step)
    for row in range(laid.shape[2]):
        for column in range(laid.shape[3]):
            positions = [((at + 0.5) * step) / cell - 0.5 for at in (row, column)]
            (top, down), (left, right) = (_neighbours(position, cells) for position, cells in zip(positions, grid, strict=True))
            expected = sum(down[i] * right[j] * features[:, :, top[i], left[j]] for i in range(2) for j in range(2))
            assert torch.allclose(laid[:, :, row, column], expected, atol=1e-5)


def _neighbours(position, cells):
    """The two cells around a position, and their weights."""
    position = min(max(position, 0.0), cells - 1.0)
    low = min(int(position), cells - 1)
    return (low, min(low + 1, cells - 1)), (1 - (position - low), position - low)


def test_features_are_taken_after_each_quarter():
    from pathology.tasks.lizard.model import depths

    assert depths(40) == [9, 19, 29, 39]
    assert depths(2) == [0, 0, 1, 1]
    assert depths(1) == [0, 0, 0, 0]


def step(net, half=False):
    """One step down the slope of an arbitrary loss."""
    import torch

    optimizer = torch.optim.SGD([value for value in net.parameters() if value.requires_grad], 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        maps = net.train()(pixels((64, 64)))
    (maps.nucleus.square().mean() + maps.distances.square().mean() + maps.classes.square().mean()).backward()
    optimizer.step()
    return maps


def test_a_frozen_encoder_stays_and_the_decoder_moves(encoder):
    import torch
    from nuclear_models import network

    net = network(encoder)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    step(net)
    assert not net.encoder.training and net.decoder.training
    assert net.encoder_state() == {}
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("encoder."), name


def test_it_trains_where_it_has_predicted(encoder):
    """Interpolation weights are kept by size; made in inference mode they could not be trained through."""
    import torch
    from nuclear_models import network

    net = network(encoder)
    with torch.inference_mode():
        net(pixels((40, 104)))
    assert net(pixels((40, 104))).nucleus.requires_grad


def test_adapters_move_and_what_they_adapt_stays(encoder):
    import torch
    from nuclear_models import network

    net = network(encoder, "lora")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    step(net)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    adapters = {f"encoder.{name}" for name in net.encoder_state()}
    assert adapters and adapters <= moved
    assert {name for name in moved if name.startswith("encoder.")} == adapters


def test_half_precision_is_near_and_gives_float32(encoder):
    import torch
    from nuclear_models import network

    net = network(encoder)
    with torch.inference_mode():
        exact = net(pixels((64, 64)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            near = net(pixels((64, 64)))
    for one, other in zip(exact, near, strict=True):
        assert other.dtype == torch.float32
        assert 0 < float((one - other).abs().mean()) < 0.05 * float(one.abs().mean().clamp(min=1))
    maps = step(network(encoder, "lora"), half=True)
    assert all(bool(torch.isfinite(value).all()) for value in maps)


def test_folded_adapters_give_the_same(encoder):
    import torch
    from nuclear_models import network

    net = network(encoder, "lora")
    with torch.inference_mode():
        before = net(pixels((64, 64)))
        after = net.for_serving()(pixels((64, 64)))
    assert not any("lora" in name for name, _ in net.named_parameters())
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_a_seed_decides_the_start(encoder):
    import torch
    from nuclear_models import network

    one, same, other = (network(encoder, "lora", seed) for seed in (0, 0, 1))
    values = [torch.cat([value.flatten() for value in net.parameters() if value.requires_grad]) for net in (one, same, other)]
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])
