"""The demo's patches: MHIST's columns and fractions, two textures, votes that follow the texture unless they are permuted."""

import csv
import hashlib
import io
import time
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from demo.patches import make_patches, paint

COUNT = 120


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("patches")
    make_patches(top, COUNT, seed=3)
    return top


def table(folder):
    with (folder / "annotations.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def pixels(folder):
    """Image name → (224, 224, 3) uint8."""
    with zipfile.ZipFile(folder / "images" / "images.zip") as archive:
        return {
            name.removeprefix("images/"): np.array(Image.open(io.BytesIO(archive.read(name)), formats=["PNG"]))
            for name in archive.namelist()
        }


def roughness(patch):
    """How much light changes from pixel to pixel, relative to how much there is: crypts that are narrow have more edge."""
    light = patch.mean(axis=2)
    return np.abs(np.diff(light, axis=0)).mean() / light.std()


def test_the_table_is_mhists(made):
    header, rows = table(made)
    assert ",".join(header) == "Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition"
    assert [row[0] for row in rows[:2]] == ["MHIST_aaa.png", "MHIST_aab.png"] and len({row[0] for row in rows}) == COUNT
    assert all((int(votes) >= 4) == (label == "SSA") for _, label, votes, _ in rows)
    assert sum(row[3] == "train" for row in rows) / COUNT == pytest.approx(2175 / 3152, abs=0.01)
    for partition in ("train", "test"):
        labels = [row[1] for row in rows if row[3] == partition]
        assert labels.count("SSA") / len(labels) == pytest.approx(990 / 3152, abs=0.02)
    votes = np.bincount([int(row[2]) for row in rows], minlength=8)
    assert (votes > 0).all() and votes[0] + votes[7] > votes[3] + votes[4]  # mostly of one mind, never always


def test_patches_are_the_files_of_the_table(made):
    patches = pixels(made)
    assert set(patches) == {row[0] for row in table(made)[1]}
    assert {patch.shape for patch in patches.values()} == {(224, 224, 3)} and {patch.dtype for patch in patches.values()} == {
        np.dtype(np.uint8)
    }
    assert len({patch.tobytes() for patch in patches.values()}) == COUNT


def test_texture_tells_the_classes_apart_and_colour_hardly(made):
    from sklearn.metrics import roc_auc_score

    patches, (_, rows) = pixels(made), table(made)
    labels = [row[1] == "HP" for row in rows]
    assert 0.85 < roc_auc_score(labels, [roughness(patches[row[0]]) for row in rows]) < 0.995
    for channel in range(3):
        assert 0.3 < roc_auc_score(labels, [patches[row[0]][..., channel].mean() for row in rows]) < 0.7
    assert spearmanr([int(row[2]) for row in rows], [-roughness(patches[row[0]]) for row in rows]).statistic > 0.5


def test_permuted_labels_say_nothing(made, tmp_path):
    from sklearn.metrics import roc_auc_score

    make_patches(tmp_path, COUNT, seed=3, permuted=True)
    patches, (_, rows) = pixels(tmp_path), table(tmp_path)
    assert 0.35 < roc_auc_score([row[1] == "HP" for row in rows], [roughness(patches[row[0]]) for row in rows]) < 0.65
    for partition in ("train", "test"):
        counts = [sorted(row[2] for row in table(folder)[1] if row[3] == partition) for folder in (made, tmp_path)]
        assert counts[0] == counts[1]
    assert (tmp_path / "images" / "images.zip").read_bytes() == (made / "images" / "images.zip").read_bytes()


def test_the_same_seed_gives_the_same_bytes_at_another_time(tmp_path, monkeypatch):
    def digest(name, seed):
        make_patches(tmp_path / name, 24, seed=seed)
        return [
            hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for file in ("annotations.csv", "images/images.zip")
        ]

    first = digest("a", 1)
    with zipfile.ZipFile(tmp_path / "a" / "images" / "images.zip") as archive:
        assert {file.date_time for file in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1e7)
    assert digest("b", 1) == first != digest("c", 2)


def test_a_patch_is_tissue_with_lumens():
    patch = paint(0.0, np.random.default_rng(0))
    light = patch.mean(axis=2)
    assert 0.02 < (light > 225).mean() < 0.4 and light.min() < 140


@pytest.mark.parametrize("count", [0, 19, 26**3 + 1])
def test_too_few_or_too_many(tmp_path, count):
    with pytest.raises(ValueError, match="can be made"):
        make_patches(tmp_path, count)
    assert not list(tmp_path.iterdir())
