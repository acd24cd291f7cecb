"""The network learns what pictures tell of nuclei, and nothing where they tell nothing: the whole path from the raw files on.

Quarters of painted patches, every nucleus tinted by its class, go through PrepareLizard and TrainLizard, and the packed model
outlines test patches of other source images. Three times: as painted; with every patch of a side given the nuclei of another
(``shuffle_labels``); and with the outlines as painted, but classes permuted among all nuclei, those of the test patches too.
Whether classes are learnt is told by Cohen's kappa of the nuclei found, which is 0 by chance.

Intervals are by source image. Data and training take seed 0. On seeds 0, 3, 4 and 5 the lowest bounds were 0.72 of bPQ, 0.95 of Dice,
0.24 of kappa and 2.3 times what one class for all gives of mPQ+.
"""

import shutil

import numpy as np
import pytest
from pathology.contracts.intervals.clusters import cluster_bootstrap
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.contracts.lizard.train import TrainLizard
from pathology.metrics.panoptic import relabel
from pathology.nuclei.classes import instance_classes
from pathology.nuclei.palette import class_colours

from benchmarks.lizard import DATA, MODEL, MODELS, PATCHES, held_out, outline, prepare, scores_of, train
from demo.nuclei import make_nuclei
from tests.made import made_once

pytestmark = pytest.mark.slow

SOURCES, SIDE = 40, 128
"""Source images of one painted patch each, and the side of a quarter of it in px: a step on quarters costs a quarter."""
TINT = 0.5
"""How much of a nucleus's colour is its class's. Without it, when classes begin to be told apart differs by epochs among seeds."""
SHORT = TrainLizard(epochs=3, batch_size=1, width=8, learning_rate=1e-2)
OUTLINED = "outlined.npy"
"""Label maps of the test patches, in the order of the table."""


def quarters(patches):
    """Patches (N, 256, 256, C) → (4 N, 128, 128, C)."""
    count, side, _, channels = patches.shape
    cut = patches.reshape(count, side // SIDE, SIDE, side // SIDE, SIDE, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, SIDE, SIDE, channels)


def tinted(images, kinds):
    """``images`` (N, S, S, 3) with nuclei of ``kinds`` (N, S, S) towards their classes' colours."""
    colours = np.array([(0, 0, 0), *class_colours(len(LIZARD_CLASSES))])[kinds]
    return np.where(kinds[..., None] > 0, (1 - TINT) * images + TINT * colours, images).round().astype(np.uint8)


def write_quarters(whole, folder):
    """CoNIC's four files of the painted patches in ``whole``, cut in four and tinted."""
    from lizard_jobs import write_conic

    names = [line.rpartition("-") for line in (whole / "patch_info.csv").read_text().split()[1:]]
    labels = quarters(np.load(whole / "labels.npy"))
    labels[..., 0] = [relabel(each) for each in labels[..., 0]]
    named = [f"{source}-{4 * int(number) + quarter:04d}" for source, _, number in names for quarter in range(4)]
    write_conic(folder, tinted(quarters(np.load(whole / "images.npy")), labels[..., 1]), labels, named)


def permute_classes(data):
    """Give the nuclei of ``data`` one another's classes, of any patch; labels.npy and counts.csv are written again."""
    from lizard_jobs import write_labels

    labels = np.load(data / "labels.npy")
    of_patches = [instance_classes(each, len(LIZARD_CLASSES)) for each in labels]
    permuted = iter(np.random.default_rng(0).permutation(np.concatenate([kinds for _, kinds in of_patches])))
    for each, (ids, _) in zip(labels, of_patches, strict=True):
        lookup = np.zeros(ids.max(initial=0) + 1, labels.dtype)
        lookup[ids] = [next(permuted) for _ in ids]
        each[..., 1] = lookup[each[..., 0]]
    write_labels(data, labels)


def keep_outlines(folder, shuffled, permuted, seed=0):
    """Paint, train, outline the test patches; data set, split and label maps stay in ``folder``."""
    from pathology.tasks.lizard.artefact import load_lizard

    make_nuclei(folder / "whole", SOURCES, seed=seed, sources=SOURCES)
    write_quarters(folder / "whole", folder / DATA)
    if permuted:
        permute_classes(folder / DATA)
    prepare(folder)
    train(folder, SHORT.model_copy(update={"shuffle_labels": shuffled, "seed": seed}))
    predictor, test = load_lizard(folder / MODEL, folder / MODELS).predictor, held_out(folder)
    np.save(folder / OUTLINED, predictor.labels([test[index][0] for index in range(len(test))]))
    prepared = (folder / PATCHES).resolve()
    (folder / PATCHES).unlink()
    prepared.rename(folder / PATCHES)
    for left in set(folder.iterdir()) - {folder / DATA, folder / PATCHES, folder / OUTLINED}:
        shutil.rmtree(left) if left.is_dir() else left.unlink()


class Kept:
    """In place of a model's predictor one that gives label maps which were kept, in their order."""

    def __init__(self, maps):
        self.maps = iter(maps)

    def labels(self, images):
        """One for each of ``images``."""
        return [next(self.maps) for _ in images]


def kappas(confusions):
    """(n, K, K) of true by predicted class → (n, 1); NaN where one class is all there is."""
    fractions = confusions / confusions.sum((1, 2), keepdims=True)
    chance = (fractions.sum(1) * fractions.sum(2)).sum(1)
    right = np.trace(fractions, axis1=1, axis2=2)
    return np.where(chance < 1, (right - chance) / np.where(chance < 1, 1 - chance, 1), np.nan)[:, None]


class Learnt:
    """What a training that was done once found on the test patches; printed to be recorded."""

    def __init__(self, name, shuffled=False, permuted=False):
        folder = made_once(f"lizard-{name}", lambda folder: keep_outlines(folder, shuffled, permuted), [shuffled, permuted])
        self.maps, self.test = np.load(folder / OUTLINED), held_out(folder)
        self.predicted = outline(Kept(self.maps), self.test)
        self.scores = scores_of(self.predicted)
        print(f"{folder.name}: {self.scores.patches} patches of {self.scores.sources} source images")
        print(*(f"{name} {self.scores.intervals[name]}" for name in ("bpq", "dice", "mpq_plus")), sep="\n")

    def kappa(self):
        """Its range as each of the few source images is left out, and its standard deviation."""
        sums = {}
        for source, detection in zip(self.predicted.sources, self.predicted.detections, strict=True):
            sums[source] = sums.get(source, 0) + detection.confusion
        (spread,) = cluster_bootstrap(kappas, np.stack(list(sums.values())).astype(float))
        print("kappa", spread, "standard deviation", spread.std)
        return spread

    def with_one_class(self):
        """mPQ+ if every nucleus found were called by the commonest class."""
        kinds = np.concatenate([instance_classes(self.test[index][1], len(LIZARD_CLASSES))[1] for index in range(len(self.test))])
        maps = self.maps.copy()
        maps[..., 1] = np.where(maps[..., 0] > 0, np.bincount(kinds).argmax(), 0)
        return scores_of(outline(Kept(maps), self.test)).intervals["mpq_plus"].value


def test_outlines_and_classes_are_learnt():
    learnt = Learnt("as-painted")
    assert learnt.scores.intervals["bpq"].lowest > 0.5
    assert learnt.scores.intervals["dice"].lowest > 0.75
    assert learnt.scores.intervals["mpq_plus"].lowest > 1.5 * learnt.with_one_class()
    assert learnt.kappa().lowest > 0.1


def test_the_nuclei_of_other_patches_teach_nothing():
    assert Learnt("other-nuclei", shuffled=True).scores.intervals["bpq"].highest < 0.05


def test_permuted_classes_are_not_learnt():
    """The outlines are. Six source images give five degrees of freedom: one t in a thousand is beyond 6.9 when κ is 0."""
    learnt = Learnt("permuted-classes", permuted=True)
    assert learnt.scores.intervals["bpq"].lowest > 0.5
    kappa = learnt.kappa()
    assert abs(kappa.value) <= max(6.9 * kappa.std, 1e-12) and 2 * 6.9 * kappa.std < 0.6
