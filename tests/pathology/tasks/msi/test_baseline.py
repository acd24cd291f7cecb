"""msi's baseline: the mean over all tiles of all slides of a patient, read once each; labels permuted with the model's."""

import numpy as np
import pytest
from msi_jobs import MANIFEST, MsiRun
from pathology.metrics.ranking import auroc


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return MsiRun(tmp_path_factory.mktemp("baseline"), patients=60, positives=24, tiles=12, signal=4.0, test_fraction=0.5)


def patients(run, split):
    from pathology.tasks.msi.dataset import patients_of

    return patients_of([row for row in run.cohort if row.split == split], run.slides)[0]


def bags(run, some):
    from pathology.tasks.msi.dataset import Bags

    return Bags(run.features, some, MANIFEST, memory=0)


def test_it_is_fitted_on_means_over_tiles_and_read_in_one_pass(run, monkeypatch):
    from pathology.tasks.msi import baseline
    from pathology.tasks.msi.dataset import Bags
    from pathology.wsi.features import read_features

    given = bags(run, patients(run, "train"))
    read, load = [], Bags.load
    monkeypatch.setattr(Bags, "load", lambda self, index: read.append(index) or load(self, index))
    caught = {}
    monkeypatch.setattr(baseline, "fit_baseline", lambda *arguments: caught.update(zip("kfts", arguments, strict=False)))
    baseline.fit(given)
    assert read == list(range(len(given)))
    for row, patient in zip(caught["f"], given.patients, strict=True):
        tiles = [read_features(run.feature_file(slide.slide_id), slide.slide_id).features for slide in patient.slides]
        assert row == pytest.approx(np.concatenate(tiles).astype(np.float64).mean(axis=0), abs=1e-12)
    assert any(len(patient.slides) > 1 for patient in given.patients)
    held = [index for _, indices in caught["s"] for index in indices]
    assert sorted(held) == list(range(len(given)))
    for _, indices in caught["s"]:
        assert len({given.patients[index].fold for index in indices}) == 1


def test_it_finds_a_signal_in_patients_it_has_not_seen_and_none_in_permuted_labels(run):
    from pathology.tasks.msi import baseline
    from pathology.tasks.msi.dataset import mean_of_tiles, permuted

    others = bags(run, patients(run, "test"))
    means = np.stack([mean_of_tiles(others.load(index)) for index in range(len(others))])
    true = baseline.fit(bags(run, patients(run, "train")))
    assert auroc(others.labels, true.probabilities(means)) > 0.85
    areas = [
        auroc(others.labels, baseline.fit(bags(run, permuted(patients(run, "train"), seed))).probabilities(means))
        for seed in range(3)
    ]
    assert 0.3 < np.mean(areas) < 0.7
