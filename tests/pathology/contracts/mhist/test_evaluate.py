"""evaluation.json: strict, msi's keys in their order, and published numbers held against intervals."""

import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import compare
from pathology.contracts.intervals import Interval
from pathology.contracts.mhist.evaluate import PUBLISHED_RESULTS, UNIT, AgreementRow, MhistBlock, MhistEvaluation
from pathology.contracts.msi.evaluate import MsiBlock


def test_published_numbers_are_those_of_the_facts():
    published = {(row.model, row.measure): row.value for row in PUBLISHED_RESULTS}
    assert published == {
        ("Virchow2", "balanced_accuracy"): 0.861,
        ("H-optimus-0", "balanced_accuracy"): 0.843,
        ("UNI", "balanced_accuracy"): 0.843,
        ("GigaPath", "balanced_accuracy"): 0.829,
        ("H-optimus-0", "accuracy"): 0.828,
        ("ResNet-18", "auroc"): 0.927,
    }
    assert all(len(row.source) > 20 and row.unit == UNIT for row in PUBLISHED_RESULTS)


def test_a_published_value_inside_our_interval_is_not_told_apart():
    intervals = {
        "balanced_accuracy": Interval(0.85, 0.83, 0.86, 0.01),  # between GigaPath and Virchow2
        "accuracy": Interval(0.828, 0.828, 0.84, 0.01),  # the bound itself belongs to the interval
        "auroc": Interval(0.90, 0.88, 0.92, 0.01),
    }
    rows = compare(PUBLISHED_RESULTS, intervals, UNIT, same_test=True)
    assert [row.published for row in rows] == list(PUBLISHED_RESULTS)
    assert [row.standing for row in rows] == ["lower", "within", "within", "higher", "within", "lower"]
    assert rows[0].measured.model_dump() == {"value": 0.85, "low": 0.83, "high": 0.86}


def test_keys_of_both_blocks_stand_in_their_order():
    sure = ("n", "seen", "confidence", "resamples", "seed", "intervals", "interval_methods")
    of_all = (*sure, "encoder", "computed_by", "data", "data_uris", "warnings", "registry")
    points = ("operating_points", "read_off", "decision_curve", "baseline")
    of_binary = (*of_all, "positives", "threshold", "brier", "calibration", *points)
    own = ("task", "slides", "tiles", "sides", "not_evaluable", "sites", "flow", "model")
    assert list(MsiBlock.model_fields) == [*of_binary, *own]
    own = ("task", "annotators", "agreement", "published", "published_partition", "eva", "model")
    assert list(MhistBlock.model_fields) == [*of_binary, *own]


def test_an_agreement_that_seven_cannot_have_is_refused():
    row = {"n": 0, "accuracy": None, "classes": [{"n": 0, "accuracy": None}] * 2}
    assert AgreementRow.model_validate({"agreement": 4, **row}).n == 0
    with pytest.raises(ValueError, match="agreement"):
        AgreementRow.model_validate({"agreement": 3, **row})


def test_what_is_not_an_evaluation_is_refused_in_one_line():
    with pytest.raises(DataError, match="evaluation.json") as caught:
        MhistEvaluation.from_json(b'{"pathology": {"task": "msi"}}', "evaluation.json")
    assert "\n" not in str(caught.value)
