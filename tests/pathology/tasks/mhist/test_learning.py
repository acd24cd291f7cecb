"""Every way of fine-tuning learns what there is to learn, and nothing where there is nothing: the whole path from the raw files on.

The demo's look-alike patches go through PrepareMhist and TrainMhist, and the packed model scores the test patches as its endpoint
would. Claimed is this: AUROC's interval lies well above 0.5 where texture tells the classes apart, and holds 0.5 where the same
labels are permuted among the patches of each partition. The second must hold for the test patches' own labels too. With true labels
there, weights that have learnt nothing still sort the textures one way or the other, and AUROC may be anything.

Intervals are of 99.9 %: where nothing is learnt one in a thousand misses 0.5 for any weights, and so another machine's
rounding decides nothing. Data and training take seed 0. On seeds 0 to 5 the lowest bound of true labels was 0.83, and bounds of
permuted labels lay from 0.29 to 0.71.
"""

import shutil

import numpy as np
import pytest
from msi_jobs import training_job
from pathology.contracts.intervals import area_under_roc
from pathology.contracts.mhist.prepare import PrepareMhistJob
from pathology.contracts.mhist.train import TrainMhist
from pathology.encoders.tiny import make_tiny_encoder
from pathology.tasks.mhist.dataset import read_patches
from prepare_jobs import run_prepare

from demo import patches
from tests.made import made_once

pytestmark = pytest.mark.slow

FINE_TUNINGS = ("linear", "lora", "last-blocks", "full")
COUNT, TRAIN = 360, 0.3
"""252 patches test, for a narrow interval; 108 are learnt from, a sixth of them to validate."""
SEPARATION = 5.0
"""Of the classes' textures, wider than the demo's: fewer patches tell as much."""
SHORT = TrainMhist(epochs=4, batch_size=8, rank=8, blocks=1, learning_rate=1e-2, encoder_learning_rate=2e-3)
BATCH = 32


def prepare(root, permuted):
    """Patches as PrepareMhist leaves them, and the tiny encoder."""
    from pathology.commands import prepare_mhist

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patches, "TRAIN", TRAIN)
        patched.setattr(patches, "SEPARATION", SEPARATION)
        patches.make_patches(root / "raw", COUNT, permuted=permuted)
    data = {"annotations": root / "raw", "images": root / "raw" / "images"}
    handed = run_prepare(prepare_mhist.main, root, root / "uris", PrepareMhistJob, data, published_counts=False)
    for name in ("images", "patches"):
        (root / name).symlink_to(handed[name])
    make_tiny_encoder(root / "models" / "tiny")


def score(root, fine_tuning):
    """Train; labels (n,) and probabilities (n,) of the test patches."""
    from pathology.commands import train_mhist
    from pathology.tasks.mhist.serving import input_fn, model_fn, predict_fn

    channels = {
        "training": root / "images",
        "models": root / "models",
        "encoder": root / "models" / "tiny",
        "patches": root / "patches",
    }
    job = training_job(root / fine_tuning, SHORT.model_copy(update={"fine_tuning": fine_tuning}), channels)
    train_mhist.main(job)
    model = model_fn(job.output("model"), root / "models")
    test = [row for row in read_patches(root / "patches" / "patches.csv") if row.split == "test"]
    answers = []
    for start in range(0, len(test), BATCH):
        bodies = [(root / "images" / row.image).read_bytes() for row in test[start : start + BATCH]]
        answers += predict_fn([input_fn(body) for body in bodies], model)
    return [row.label for row in test], [answer["probability"] for answer in answers]


def scores_of(permuted):
    """A folder with the scores of every way of fine-tuning, trained once."""

    def keep(folder):
        prepare(folder / "work", permuted)
        for fine_tuning in FINE_TUNINGS:
            np.save(folder / f"{fine_tuning}.npy", score(folder / "work", fine_tuning))
        shutil.rmtree(folder / "work")

    return made_once("mhist-learning-permuted" if permuted else "mhist-learning", keep, permuted)


def interval(folder, fine_tuning):
    """AUROC on the test patches, printed so that it can be recorded."""
    labels, probabilities = np.load(folder / f"{fine_tuning}.npy")
    auroc_interval = area_under_roc(labels.astype(int), probabilities, confidence=0.999)
    print(f"{folder.name} {fine_tuning}: test AUROC {auroc_interval}, {len(labels)} patches")
    return auroc_interval


@pytest.mark.parametrize("fine_tuning", FINE_TUNINGS)
def test_texture_is_learnt(fine_tuning):
    assert interval(scores_of(permuted=False), fine_tuning).low > 0.7


@pytest.mark.parametrize("fine_tuning", FINE_TUNINGS)
def test_permuted_labels_teach_nothing(fine_tuning):
    bounds = interval(scores_of(permuted=True), fine_tuning)
    assert bounds.low <= 0.5 <= bounds.high
    assert bounds.high - bounds.low < 0.3
