"""No seam: merged windows give the nuclei of the whole, wherever borders fall and even where windows disagree."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pathology.contracts.errors import DataError, RequestError
from pathology.metrics.panoptic import score
from pathology.nuclei.targets import distance_maps
from pathology.nuclei.watershed import instances
from pathology.nuclei.windows import Windows, merge


def maps_of(instance_map):
    return np.concatenate([(instance_map > 0)[None].astype(np.float32), distance_maps(instance_map)])


def cut(maps, windows):
    return (maps[:, rows, columns] for rows, columns in windows)


def nuclei(maps):
    return instances(maps[0], maps[1:])


def disc(side, y, x, radius):
    rows, columns = np.ogrid[:side, :side]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


@st.composite
def layouts(draw):
    side = draw(st.integers(8, 60))
    return Windows(draw(st.integers(1, 200)), draw(st.integers(1, 200)), side, draw(st.integers(4, side // 2)))


@given(layouts())
@example(Windows(257, 256))
@example(Windows(255, 1))
@settings(max_examples=150)
def test_windows_cover_the_picture_and_share_every_pixel_fully(windows):
    total = np.zeros((windows.height, windows.width))
    shapes = set()
    for (rows, columns), (down, across) in zip(windows, windows.weights(), strict=True):
        shapes.add((rows.stop - rows.start, columns.stop - columns.start))
        assert down.min() >= 0 <= across.min()
        total[rows, columns] += np.outer(down, across)
    np.testing.assert_allclose(total, 1)
    assert shapes == {(min(windows.side, windows.height), min(windows.side, windows.width))}
    assert len(list(windows)) == len(windows)
    tops = sorted({rows.start for rows, _ in windows})
    assert all(0 < later - top <= windows.side - windows.overlap for top, later in pairwise(tops))


@given(layouts())
@settings(max_examples=100)
def test_a_window_has_no_say_near_its_own_border(windows):
    """Three eighths of the overlap, but at the picture's edge, where nobody knows better."""
    unused = int(windows.overlap * 3 / 8)
    for (rows, columns), (down, across) in zip(windows, windows.weights(), strict=True):
        for span, weights, length in ((rows, down, windows.height), (columns, across, windows.width)):
            assert span.start == 0 or (weights[:unused] == 0).all()
            assert span.stop == length or (weights[len(weights) - unused :] == 0).all()


@given(layouts(), st.integers(0, 1000))
@settings(max_examples=60)
def test_maps_that_agree_come_back_to_the_bit(windows, seed):
    maps = np.random.default_rng(seed).normal(size=(3, windows.height, windows.width)).astype(np.float32)
    np.testing.assert_array_equal(merge(windows, cut(maps, windows)), maps)


def test_maps_that_disagree_are_averaged_by_weight():
    windows = Windows(50, 70, 20, 8)
    generator = np.random.default_rng(1)
    tiles = [generator.normal(size=(2, 20, 20)) for _ in windows]
    expected = np.zeros((2, 50, 70))
    for tile, (rows, columns), (down, across) in zip(tiles, windows, windows.weights(), strict=True):
        expected[:, rows, columns] += tile * np.outer(down, across)
    np.testing.assert_allclose(merge(windows, tiles), expected, atol=1e-5)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([(64, 16), (65, 32), (96, 31)]), st.integers(0, 1000))
@example(63, 129, (64, 16), 0)
@settings(max_examples=30)
def test_windows_give_the_nuclei_of_the_whole(draw_nuclei, height, width, shape, seed):
    maps = maps_of(draw_nuclei(height, width, seed))
    windows = Windows(height, width, *shape)
    np.testing.assert_array_equal(nuclei(merge(windows, cut(maps, windows))), nuclei(maps))


@pytest.mark.parametrize("x", range(150, 171, 2))
def test_a_nucleus_on_a_border_is_one_and_whole(x):
    """Windows meet at 160 px; what each sees of a nucleus is all it gets, as with a network."""
    windows = Windows(320, 320, 192, 64)
    assert [columns.start for _, columns in windows][:2] == [0, 128]
    instance_map = disc(320, 160, x, 10).astype(np.int32)
    predicted = [maps_of(instance_map[rows, columns]) for rows, columns in windows]
    np.testing.assert_array_equal(nuclei(merge(windows, predicted)), instance_map)


def test_a_nucleus_beyond_the_overlap_is_one_and_whole_where_maps_agree():
    instance_map = disc(400, 200, 201, 150).astype(np.int32)
    windows = Windows(400, 400, 128, 32)
    maps = maps_of(instance_map)
    result = nuclei(merge(windows, cut(maps, windows)))
    np.testing.assert_array_equal(result, nuclei(maps))
    assert score(instance_map, result).pq > 0.99


def test_a_nucleus_beyond_the_overlap_keeps_its_px_where_maps_disagree():
    """Every window gives the map of its own part, whose middle is elsewhere: no px is lost or counted twice, parts may be many."""
    instance_map = disc(400, 200, 201, 150).astype(np.int32)
    windows = Windows(400, 400, 128, 32)
    result = nuclei(merge(windows, [maps_of(instance_map[rows, columns]) for rows, columns in windows]))
    np.testing.assert_array_equal(result > 0, instance_map > 0)
    assert result.max() <= len(windows)


@pytest.mark.parametrize(("side", "overlap"), [(256, 64), (200, 48)])
def test_real_nuclei_predicted_window_by_window(real_labels, side, overlap):
    """Four patches side by side; each window's maps are made from what it sees, cut nuclei included."""
    tiles = [labels[..., 0].astype(np.int32) for labels in real_labels[:4]]
    apart = [np.where(tile > 0, tile + 1000 * number, 0) for number, tile in enumerate(tiles)]
    instance_map = np.block([apart[:2], apart[2:]])[3:-2, :-5]
    windows = Windows(*instance_map.shape, side, overlap)
    result = nuclei(merge(windows, (maps_of(instance_map[rows, columns]) for rows, columns in windows)))
    whole = nuclei(maps_of(instance_map))
    assert whole.max() > 150
    assert result.max() == whole.max()
    assert score(whole, result).pq >= 0.99


def test_real_nuclei_predicted_with_noise_of_each_windows_own(real_labels):
    generator = np.random.default_rng(0)
    instance_map = np.concatenate([real_labels[2, :, :, 0].astype(np.int32), real_labels[6, :, :, 0].astype(np.int32) + 1000])
    instance_map[instance_map == 1000] = 0
    windows = Windows(*instance_map.shape, 128, 48)
    predicted = []
    for rows, columns in windows:
        maps = maps_of(instance_map[rows, columns])
        maps += generator.normal(0, 0.15, maps.shape)
        maps[0] = maps[0].clip(0, 1)
        predicted.append(maps)
    result = score(instance_map, nuclei(merge(windows, predicted)))
    assert result.pq > 0.97
    assert result.fp <= 2


def test_refused_layouts():
    for wrong in ((0, 5), (5, 0), (5, 5, 64, 33), (5, 5, 64, 3), (5, 5, 0, 0)):
        with pytest.raises(RequestError, match="windows"):
            Windows(*wrong)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda tiles: tiles[:-1], "maps of 3 windows, and there are 4"),
        (lambda tiles: [*tiles, tiles[0]], "more than 4"),
        (lambda tiles: [*tiles[:2], tiles[2][:, 1:], tiles[3]], "window 3: has maps"),
        (lambda tiles: [*tiles[:2], tiles[2][:1], tiles[3]], "window 3: has maps"),
        (lambda tiles: [tiles[0][0], *tiles[1:]], "window 1: has maps"),
        (lambda tiles: [*tiles[:3], tiles[3] * np.nan], "window 4: its maps hold NaN"),
    ],
)
def test_refused_maps(spoil, words):
    windows = Windows(30, 30, 20, 8)
    with pytest.raises(DataError, match=words) as refusal:
        merge(windows, spoil(list(cut(np.ones((2, 30, 30), np.float32), windows))))
    assert "\n" not in str(refusal.value)
