"""The baseline learns what there is to learn, nothing from permuted labels, and is packed and read as it was fitted."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.intervals import area_under_roc

FOLDS = 4


def made(count, seed, dimension=6):
    """Features of which the first carries the label, and the labels."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 == 0).astype(float)
    features = generator.normal(size=(count, dimension)) * 10.0 ** np.arange(-2, dimension - 2)
    features[:, 0] += 0.02 * labels
    return features, labels


def fitted(features, labels):
    from pathology.training.baseline import BaselineKind, fit_baseline

    folds = np.arange(len(labels)) * 7 % 10 % FOLDS
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(FOLDS)]
    return fit_baseline(BaselineKind("made", "Made.", "by folds"), features, labels, splits, np.arange(len(labels))), splits


def on_others(model, seed=1):
    """AUROC on as many items that it has not seen, with the interval that one in a thousand misses."""
    features, labels = made(600, seed)
    return area_under_roc(labels.astype(int), model.probabilities(features), confidence=0.999)


def test_it_learns_what_there_is_and_nothing_from_permuted_labels():
    features, labels = made(120, 0)
    assert on_others(fitted(features, labels)[0]).low > 0.7
    # Of items whose labels have nothing to do with them, permuted as well: weights that learnt nothing still sort true ones somehow.
    model = fitted(features, np.random.default_rng(0).permutation(labels))[0]
    others, truth = made(600, 1)
    truth = np.random.default_rng(1).permutation(truth).astype(int)
    interval = area_under_roc(truth, model.probabilities(others), confidence=0.999)
    assert interval.low <= 0.5 <= interval.high


def test_it_is_scikit_learns_pipeline_at_the_penalty_that_its_folds_choose():
    from pathology.training.baseline import INVERSE_PENALTIES
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = made(90, 2)
    model, splits = fitted(features, labels)
    scores = {}
    for penalty in INVERSE_PENALTIES:
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=5000, tol=1e-6))
        scores[penalty] = np.zeros(len(labels))
        for learnt, held in splits:
            scores[penalty][held] = pipeline.fit(features[learnt], labels[learnt]).predict_proba(features[held])[:, 1]
    best = min(INVERSE_PENALTIES, key=lambda penalty: log_loss(labels, scores[penalty]))
    assert model.inverse_penalty == best not in (INVERSE_PENALTIES[0], INVERSE_PENALTIES[-1])
    whole = make_pipeline(StandardScaler(), LogisticRegression(C=best, max_iter=5000, tol=1e-6)).fit(features, labels)
    assert model.probabilities(features) == pytest.approx(whole.predict_proba(features)[:, 1], abs=1e-6)
    assert (model.items, model.positives) == (90, 30)

    called = scores[best] >= model.threshold
    gains = [
        (scores[best] >= at)[labels == 1].mean() - (scores[best] >= at)[labels == 0].mean() for at in np.unique(scores[best])
    ]
    assert called[labels == 1].mean() - called[labels == 0].mean() == pytest.approx(max(gains), abs=1e-12)


def test_it_is_read_as_it_was_packed_and_a_changed_file_is_named(tmp_path):
    from types import SimpleNamespace

    from pathology.training.baseline import read_baseline

    features, labels = made(60, 3)
    model = fitted(features, labels)[0]
    entry, content = model.pack()
    (tmp_path / entry.file).write_bytes(content)
    again = read_baseline(tmp_path, SimpleNamespace(baseline=entry))
    assert np.array_equal(again.probabilities(features), model.probabilities(features))
    assert (again.kind, again.threshold, again.items) == ("made", model.threshold, 60)
    assert read_baseline(tmp_path, SimpleNamespace(baseline=None)) is None
    with pytest.raises(DataError, match=r"baseline.safetensors: 'weight' has the shape \(6,\), not \(7,\)"):
        read_baseline(tmp_path, SimpleNamespace(baseline=entry.model_copy(update={"features": 7})))
    (tmp_path / entry.file).write_bytes(content[:-1] + b"x")
    with pytest.raises(DataError, match="baseline.safetensors is not the one that was trained"):
        read_baseline(tmp_path, SimpleNamespace(baseline=entry))
