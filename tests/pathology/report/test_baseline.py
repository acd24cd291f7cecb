"""What the report says of where the model's interval lies against the baseline."""

import pytest
from pathology.contracts.evaluation import Baseline, Bounds


def baseline(standing):
    bounds = {"auroc": Bounds(value=0.8, low=0.7, high=0.88)}
    return Baseline(
        name="made", words="Made", chosen="by hand", fitted_on=9, positives=3, threshold=0.5, intervals=bounds,
        interval_methods={"auroc": "a method"}, measure="auroc", standing=standing,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ("higher", "lies above the baseline's AUROC of 0.800."),
        ("lower", "lies below the baseline's AUROC of 0.800: the simple model did better here."),
        (
            "within",
            "holds the baseline's AUROC of 0.800, so that it does not show that the model does better than something simple.",
        ),
    ],
)
def test_the_verdict_is_of_the_models_interval(standing, words):
    from pathology.report.baseline import baseline_verdict, beside

    model = {"auroc": Bounds(value=0.9, low=0.81, high=0.95), "f1": Bounds(value=0.1, low=0.0, high=0.2)}
    titles = {"auroc": "AUROC", "f1": "F1"}
    found = baseline_verdict(baseline(standing), model, titles, 0.95)
    assert found == f"The model's 95% interval, 0.810 to 0.950, {words}"
    (row,) = beside(baseline(standing), model, titles)
    assert (row.title, row.model.value, row.baseline.value) == ("AUROC", 0.9, 0.8)
    assert beside(None, model, titles) == [] and baseline_verdict(None, model, titles, 0.95) == ""
