"""mhist's baseline: colours of a patch without where they are."""

import hashlib

import numpy as np
import pytest
from pathology.contracts.mhist.patches import MhistPatchRow
from pathology.metrics.ranking import auroc
from PIL import Image


def test_a_histogram_counts_colours_wherever_they_are():
    from pathology.tasks.mhist.baseline import colour_histogram

    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[0, 0] = (255, 255, 255)
    pixels[1, :2] = (31, 32, 64)
    found = colour_histogram(pixels)
    assert found.shape == (512,)
    expected = {511: 1 / 8, 0 * 64 + 1 * 8 + 2: 2 / 8, 0: 5 / 8}
    assert {
        int(index): value for index, value in zip(np.flatnonzero(found), found[found > 0] ** 2, strict=True)
    } == pytest.approx(dict(sorted(expected.items())))
    assert np.array_equal(found, colour_histogram(pixels[::-1, ::-1]))


def written(folder, count, seed):
    """Patches of noise, of which those of class 1 are a little darker in red."""
    from pathology.patches.dataset import Patches

    folder.mkdir()
    generator, rows = np.random.default_rng(seed), []
    for number in range(count):
        label, path = number % 2, folder / f"{number}.png"
        pixels = generator.integers(60, 200, (16, 16, 3)) - label * np.array([12, 0, 0]) + generator.integers(-25, 25, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        content = path.read_bytes()
        values = {"image": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "label": label}
        rows.append(MhistPatchRow.model_validate({**values, "split": "train", "votes": 7 * label}))
    return Patches(folder, rows, 16)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    root = tmp_path_factory.mktemp("colours")
    return [written(root / name, count, seed) for seed, (name, count) in enumerate({"a": 160, "b": 60, "c": 120}.items())]


def test_colour_is_learnt_and_nothing_from_permuted_labels(sides):
    from pathology.tasks.mhist.baseline import fit, histograms

    train, validation, others = sides
    features = histograms(others)
    true = fit(train, train.labels.astype(float), validation, validation.labels.astype(float))
    assert auroc(others.labels, true.probabilities(features)) > 0.7
    assert (true.items, true.positives, len(true.weight)) == (160, 80, 512)
    areas = []
    for seed in range(2):
        order = np.random.default_rng(seed)
        targets = [order.permutation(side.labels).astype(float) for side in (train, validation)]
        areas.append(auroc(others.labels, fit(train, targets[0], validation, targets[1]).probabilities(features)))
    assert 0.35 < np.mean(areas) < 0.65
