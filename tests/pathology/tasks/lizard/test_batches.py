"""What the network is shown: rare classes more often, and picture, nuclei and distance maps always moved together."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.train import TrainLizard
from pathology.nuclei.targets import distance_maps

SIDE = 64
TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def patch(seed, kind=1):
    """A picture of noise and three lopsided nuclei, of class ``kind`` or of none."""
    generator = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE, 2), np.uint16)
    for number in range(1, 4):
        top, left = generator.integers(0, SIDE - 20, 2)
        labels[top : top + 7, left : left + 17, 0] = labels[top : top + 15, left : left + 5, 0] = number
    labels[..., 1] = np.where(labels[..., 0] > 0, kind, 0)
    if kind == 0:
        labels[:] = 0
    return generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8), labels


def patches(kinds, **options):
    from pathology.tasks.lizard.batches import NuclearPatches

    return NuclearPatches([patch(seed, kind) for seed, kind in enumerate(kinds)], 3, **options)


def test_a_control_gives_pictures_one_anothers_nuclei():
    from pathology.tasks.lizard.batches import PermutedLabels

    originals = [patch(seed) for seed in range(20)]
    permuted = PermutedLabels(originals, (0, 0))
    assert len(permuted) == 20
    assert all(np.array_equal(permuted[index][0], image) for index, (image, _) in enumerate(originals))
    whose = [
        next(n for n, (_, labels) in enumerate(originals) if np.array_equal(permuted[index][1], labels)) for index in range(20)
    ]
    assert sorted(whose) == list(range(20)) != whose
    assert [np.array_equal(permuted[n][1], PermutedLabels(originals, (0, 1))[n][1]) for n in range(20)].count(True) < 10


@pytest.mark.parametrize(("turns", "mirrored"), TURNS)
def test_maps_move_as_nuclei_do(turns, mirrored):
    import torch
    from pathology.tasks.lizard.batches import rotate_flip_distances
    from pathology.training.augmentation import rotate_flip

    _, labels = patch(0)
    instances = torch.from_numpy(labels[..., 0].astype(np.int32))
    moved = rotate_flip_distances(torch.from_numpy(distance_maps(labels[..., 0])), turns, mirrored)
    recomputed = distance_maps(rotate_flip(instances, turns, mirrored).numpy())
    assert np.array_equal(moved.numpy(), recomputed)
    assert np.array_equal(recomputed, distance_maps(labels[..., 0])) == ((turns, mirrored) == (0, False))


def test_the_eight_symmetries_differ_and_are_all_drawn():
    import torch
    from pathology.training.augmentation import draw_turn, rotate_flip, sample_generator

    picture = torch.arange(9).reshape(3, 3)
    assert len({rotate_flip(picture, *each).numpy().tobytes() for each in TURNS}) == 8
    assert {draw_turn(sample_generator(number)) for number in range(200)} == set(TURNS)


def test_an_augmented_patch_is_one_patch_still():
    """Stains and blur change the picture only; its nuclei are the same ones, moved as the picture was."""
    import torch
    from pathology.tasks.lizard.batches import NuclearPatches
    from pathology.training.augmentation import sample_generator

    image, labels = patch(1)
    image[..., :] = np.where(labels[..., :1] > 0, 60, 220)  # so that nuclei can be seen
    data = NuclearPatches([(image, labels)], 3, augment=True)
    variants = set()
    for number in range(40):
        pixels, moved, distances, index = data.augmented(0, sample_generator(number))
        assert pixels.dtype == torch.uint8 and moved.dtype == torch.int32 and int(index) == 0
        assert np.array_equal(distances.numpy(), distance_maps(moved[0].numpy()))
        assert sorted(moved.flatten().tolist()) == sorted(labels.flatten().tolist())
        inside = moved[0] > 0
        assert bool((moved[1][inside] == 1).all()) and bool((moved[1][~inside] == 0).all())
        brightness = pixels.float().mean(0)
        assert float(((brightness < 140) == inside).float().mean()) > 0.97
        again = data.augmented(0, sample_generator(number))
        assert all(torch.equal(one, other) for one, other in zip((pixels, moved, distances), again, strict=False))
        variants.add(pixels.numpy().tobytes())
    assert len(variants) == 40


def test_without_augmentation_patches_stay_as_they_are():
    from pathology.training.augmentation import sample_generator

    data = patches([1, 2])
    pixels, labels, distances, index = data.augmented(1, sample_generator(0))
    image, truth = data.patches[1]
    assert np.array_equal(pixels.numpy().transpose(1, 2, 0), image)
    assert np.array_equal(labels.numpy().transpose(1, 2, 0), truth)
    assert np.array_equal(distances.numpy(), distance_maps(truth[..., 0])) and int(index) == 1


def test_blur_softens_every_second_patch_by_little():
    import torch
    from pathology.training.augmentation import blur_jitter, sample_generator

    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8))
    changed = [blur_jitter(image, sample_generator(number)) for number in range(100)]
    softened = [picture for picture in changed if not torch.equal(picture, image)]
    assert 25 < len(softened) < 60  # of a blur below a fifth of a px nothing is seen
    for picture in softened:
        assert picture.float().std() < image.float().std()
        assert abs(float(picture.float().mean() - image.float().mean())) < 3
    flat = torch.full((3, 32, 32), 200, dtype=torch.uint8)
    assert all(torch.equal(blur_jitter(flat, sample_generator(number)), flat) for number in range(10))
    assert torch.equal(blur_jitter(image, sample_generator(0), max_std=0.0), image)


def test_blur_takes_nothing_from_what_stain_jitter_draws():
    import torch
    from pathology.training.augmentation import sample_generator, stain_jitter

    image = torch.from_numpy(patch(0)[0].transpose(2, 0, 1).copy())
    one, other = sample_generator(0), sample_generator(0)
    assert torch.equal(stain_jitter(image, one), stain_jitter(image, other))


def test_rare_classes_are_drawn_more_often():
    """Eight patches of class 1, one of class 2, one with both 1 and 3."""
    from pathology.tasks.lizard.batches import draw_weights

    counts = np.array([[5, 0, 0]] * 8 + [[0, 1, 0], [9, 0, 2]])
    full = draw_weights(counts, 1.0)
    assert full.sum() == pytest.approx(1)
    assert full[:8] == pytest.approx(full[0])
    assert full[8] / full[0] == pytest.approx(9) and full[9] / full[0] == pytest.approx(9)  # 9 of 10 have class 1
    half = draw_weights(counts, 0.5)
    assert half[8] / half[0] == pytest.approx(3)
    assert draw_weights(counts, 0.0) == pytest.approx(0.1)


def test_a_patch_without_nuclei_counts_as_common():
    from pathology.tasks.lizard.batches import draw_weights

    weights = draw_weights(np.array([[1, 0], [1, 0], [1, 1], [0, 0]]), 1.0)
    assert weights[3] == weights[0] < weights[2]
    assert draw_weights(np.zeros((3, 2), int), 1.0) == pytest.approx(1 / 3)


def test_the_order_is_the_seeds_and_the_epochs():
    kinds = [1] * 30 + [2] * 2
    plain, balanced = patches(kinds), patches(kinds, balance=1.0)
    assert sorted(plain.order(1, 2)) == list(range(32))
    assert np.array_equal(balanced.order(1, 2), balanced.order(1, 2))
    assert not np.array_equal(balanced.order(1, 2), balanced.order(1, 3))
    assert not np.array_equal(balanced.order(1, 2), balanced.order(2, 2))
    drawn = np.concatenate([balanced.order(0, epoch) for epoch in range(100)])
    assert np.mean(drawn >= 30) == pytest.approx(0.5, abs=0.03)  # a sixteenth of the patches


def test_a_patch_drawn_again_is_changed_otherwise():
    from pathology.training.batches import MicroBatch, TrainingBatches

    data = patches([1, 2, 2, 2], balance=1.0, augment=True)
    micro_batch = MicroBatch.of(TrainLizard(batch_size=4), 0, 1)
    epochs = (TrainingBatches(data, micro_batch, 0, epoch) for epoch in range(9))
    batches = next(each for each in epochs if len(set(each.order)) < 4)
    pixels, _, _, numbers, _ = batches[0]
    assert len({picture.numpy().tobytes() for picture in pixels}) == 4 > len(set(numbers.tolist()))


def test_a_step_holds_the_same_patches_however_it_is_cut():
    from pathology.training.batches import MicroBatch, TrainingBatches

    data = patches([1, 2, 3, 1, 1, 1, 1, 0, 1, 1], balance=0.5, augment=True)
    expected = None
    for world, accumulation in ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1)):
        settings = TrainLizard(batch_size=4, accumulation=accumulation)
        seen = {0: {}, 1: {}, 2: {}}
        for rank in range(world):
            batches = TrainingBatches(data, MicroBatch.of(settings, rank, world), seed=3, epoch=1)
            for number in range(len(batches)):
                pixels, labels, distances, _, weights = batches[number]
                assert pixels.shape[1:] == (3, SIDE, SIDE) and labels.shape[1:] == distances.shape[1:] == (2, SIDE, SIDE)
                for picture, weight in zip(pixels, weights.tolist(), strict=True):
                    if weight:
                        seen[number // accumulation][picture.numpy().tobytes()] = weight / world / accumulation
        assert [sum(step.values()) for step in seen.values()] == pytest.approx([1, 1, 1])
        expected = expected or [set(step) for step in seen.values()]
        assert [set(step) for step in seen.values()] == expected


def test_every_validation_patch_counts_once():
    from pathology.training.batches import ValidationBatches

    data = patches([1, 2, 3, 0, 1])
    for world in (1, 2, 3):
        counted = []
        for rank in range(world):
            batches = ValidationBatches(data, rank, world, 2)
            for number in range(len(batches)):
                *_, numbers, weights = batches[number]
                counted += numbers[weights > 0].tolist()
        assert sorted(counted) == list(range(5))


def test_targets_are_nucleus_and_class():
    import torch
    from pathology.tasks.lizard.batches import targets_of

    _, labels, distances, *_ = (value[None] for value in patches([2]).raw(0))
    targets = targets_of(labels, distances)
    assert torch.equal(targets.nucleus, (labels[:, 0] > 0).float()) and targets.nucleus.dtype == torch.float32
    assert torch.equal(targets.classes, labels[:, 1].long()) and set(targets.classes.unique().tolist()) == {0, 2}
    assert targets.distances is distances


def test_a_nucleus_of_no_class_is_refused():
    with pytest.raises(DataError, match="of no class from 1 to 3"):
        patches([1, 4], balance=0.5)
