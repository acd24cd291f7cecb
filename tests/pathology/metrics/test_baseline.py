"""A baseline's scores on a model's test items: scikit-learn's, and where the model's interval lies against them."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.intervals import Interval


def test_scores_are_scikit_learns_and_the_standing_is_of_the_models_interval():
    from pathology.metrics.baseline import baseline_line, score_baseline
    from pathology.training.baseline import BaselineKind, FittedBaseline
    from sklearn import metrics

    kind = BaselineKind("made", "Made.", "by hand")
    fitted = FittedBaseline("made", np.array([1.0, -2.0]), 0.3, 0.1, 0.6, 50, 20)
    generator = np.random.default_rng(0)
    truth = np.arange(60) % 2
    features = generator.normal(size=(60, 2)) + truth[:, None] * [0.8, 0.0]
    probability = 1 / (1 + np.exp(-(features @ [1.0, -2.0] + 0.3)))

    def against(low, high):
        model = {"auroc": Interval((low + high) / 2, low, high, 0.1)}
        return score_baseline(fitted, kind, lambda: features, truth, model, 0.95)

    area = metrics.roc_auc_score(truth, probability)
    found = against(area - 0.1, area + 0.1)
    assert found.intervals["auroc"].value == pytest.approx(area, abs=1e-12)
    called = probability >= 0.6
    assert found.intervals["balanced_accuracy"].value == pytest.approx(metrics.balanced_accuracy_score(truth, called), abs=1e-12)
    assert found.intervals["sensitivity"].value == pytest.approx(metrics.recall_score(truth, called), abs=1e-12)
    assert found.intervals["specificity"].value == pytest.approx(metrics.recall_score(1 - truth, ~called), abs=1e-12)
    assert found.interval_methods.keys() == found.intervals.keys()
    assert all(bounds.low < bounds.value < bounds.high for bounds in found.intervals.values())
    assert (found.fitted_on, found.positives, found.threshold, found.words) == (50, 20, 0.6, "Made.")
    standings = [against(*bounds).standing for bounds in ((area + 0.01, 1), (area - 0.1, area + 0.1), (0.1, area - 0.01))]
    assert standings == ["higher", "within", "lower"]
    assert f"baseline (made): auroc {area:.3f} (" in baseline_line(found)


def test_an_older_artefact_has_none_and_another_kind_is_refused():
    from pathology.metrics.baseline import baseline_line, score_baseline
    from pathology.training.baseline import BaselineKind, FittedBaseline

    kind, truth, model = BaselineKind("made", "", ""), np.array([0, 1]), {"auroc": Interval(0.5, 0, 1, 0.1)}

    def never():
        raise AssertionError("features are made for nothing")

    assert score_baseline(None, kind, never, truth, model, 0.95) is None
    assert baseline_line(None) == "baseline: none in this artefact"
    for name, width in (("other", 2), ("made", 3)):
        fitted = FittedBaseline(name, np.zeros(width), 0.0, 1.0, 0.5, 2, 1)
        with pytest.raises(DataError, match=f"baseline takes {name}, {width} numbers, and this code makes made, 2"):
            score_baseline(fitted, kind, lambda: np.zeros((2, 2)), truth, model, 0.95)
