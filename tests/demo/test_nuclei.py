"""The demo's nuclei: CoNIC's four files, six classes that look different, nuclei that touch, the same bytes for the same seed."""

import csv
import hashlib
from collections import Counter

import cv2
import numpy as np
import pytest
from pathology.contracts.lizard.patches import LIZARD_CLASSES

from demo.nuclear_shapes import KINDS, draw
from demo.nuclei import MIN_AREA, make_nuclei

PATCHES, SOURCES = 18, 6
FILES = ("images.npy", "labels.npy", "counts.csv", "patch_info.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("nuclei")
    make_nuclei(top, PATCHES, seed=3, sources=SOURCES)
    return top


@pytest.fixture(scope="module")
def arrays(made):
    return [np.load(made / name, allow_pickle=False) for name in FILES[:2]]


@pytest.fixture(scope="module")
def nuclei(arrays):
    """Class index → (pixels, darkness, elongation) of each whole nucleus of that class."""
    by_class = {index: [] for index in range(1, 7)}
    for image, labels in zip(*arrays, strict=True):
        for number in range(1, labels[..., 0].max() + 1):
            rows, columns = np.nonzero(labels[..., 0] == number)
            if rows.min() > 0 and columns.min() > 0 and max(rows.max(), columns.max()) < 255:
                axes = np.linalg.eigvalsh(np.cov(np.stack([rows, columns])))
                figures = len(rows), 255 - image[rows, columns].mean(), float(np.sqrt(axes[1] / axes[0]))
                by_class[int(labels[rows[0], columns[0], 1])].append(figures)
    return {LIZARD_CLASSES[index - 1]: np.array(figures) for index, figures in by_class.items()}


def lines(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_files_are_conics(made, arrays):
    images, labels = arrays
    assert sorted(path.name for path in made.iterdir()) == sorted(FILES)
    assert images.shape == (PATCHES, 256, 256, 3) and images.dtype == np.uint8 and images.flags.c_contiguous
    assert labels.shape == (PATCHES, 256, 256, 2) and labels.dtype == np.uint16 and labels.flags.c_contiguous
    header, *counts = lines(made / "counts.csv")
    assert tuple(header) == LIZARD_CLASSES and len(counts) == PATCHES
    head, *names = lines(made / "patch_info.csv")
    assert head == ["patch_info"] and names[0] == ["crag_1-0000"] and len({name for (name,) in names}) == PATCHES
    assert set(Counter(name.split("-")[0] for (name,) in names)) == {"crag_1", "dpath_1", "glas_1", "crag_2", "dpath_2", "glas_2"}


def test_every_nucleus_is_one_piece_of_one_class(arrays):
    for labels in arrays[1]:
        instances, classes = labels[..., 0], labels[..., 1]
        count = int(instances.max())
        assert 20 <= count <= 80 and np.array_equal(np.unique(instances), np.arange(count + 1))
        assert np.array_equal(instances > 0, classes > 0)
        for number in range(1, count + 1):
            mask = instances == number
            assert len(np.unique(classes[mask])) == 1 and mask.sum() >= 0.7 * MIN_AREA
            assert cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] == 2


def test_many_nuclei_touch(arrays):
    touching = total = 0
    for instances in arrays[1][..., 0].astype(int):
        ids = set()
        for one, other in ((instances[1:], instances[:-1]), (instances[:, 1:], instances[:, :-1])):
            meet = (one != other) & (one > 0) & (other > 0)
            ids |= set(one[meet]) | set(other[meet])
        touching, total = touching + len(ids), total + instances.max()
    assert 0.5 < touching / total < 0.85


def test_classes_are_moderately_unbalanced_and_look_different(nuclei):
    counts = {name: len(figures) for name, figures in nuclei.items()}
    assert min(counts.values()) > 30 and 2 < max(counts.values()) / min(counts.values()) < 12
    size, dark, long = ({name: np.median(figures[:, column]) for name, figures in nuclei.items()} for column in range(3))
    assert size["epithelial"] > 1.4 * size["lymphocyte"] and dark["epithelial"] < dark["lymphocyte"] - 20
    assert long["connective"] > 2.5 and long["lymphocyte"] < 1.3 and long["eosinophil"] > 1.25
    assert dark["neutrophil"] > dark["plasma"] > dark["epithelial"]


def test_darkness_alone_does_not_outline_them(arrays):
    """Otsu's threshold finds nuclei and cannot part them: fewer pieces than nuclei, and pixels missed or too many."""
    pieces = nuclei = 0
    dice = []
    for image, labels in zip(*arrays, strict=True):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        dark = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)[1] > 0
        truth = labels[..., 0] > 0
        dice.append(2 * (dark & truth).sum() / (dark.sum() + truth.sum()))
        pieces += cv2.connectedComponents((dark & truth).astype(np.uint8))[0] - 1
        nuclei += int(labels[..., 0].max())
    assert pieces < 0.75 * nuclei and 0.4 < np.mean(dice) < 0.9


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    def digests(name, seed):
        make_nuclei(tmp_path / name, 2, seed=seed, sources=2)
        return [hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for file in FILES[:3]]

    first, again, other = digests("a", 1), digests("b", 1), digests("c", 2)
    assert first == again and not set(first) & set(other)
    assert (tmp_path / "a" / "patch_info.csv").read_bytes() == (tmp_path / "c" / "patch_info.csv").read_bytes()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_shape_fits_its_square(kind):
    """Neither the nucleus nor what lies around it reaches the edge: nothing of it is cut off or comes back on the other side."""
    for seed in range(100):
        shape = draw(kind, np.random.default_rng(seed))
        for depth in (shape.depth, shape.body):
            assert max(depth[0].max(), depth[-1].max(), depth[:, 0].max(), depth[:, -1].max()) < -0.5
        assert shape.depth.max() > 2


@pytest.mark.parametrize(("patches", "sources"), [(0, 1), (3, 0), (3, 4)])
def test_too_few_are_refused(tmp_path, patches, sources):
    with pytest.raises(ValueError, match="at least one of each"):
        make_nuclei(tmp_path, patches, sources=sources)
    assert not list(tmp_path.iterdir())
