"""evaluation.json of lizard: strict, in a fixed order, published numbers held against intervals."""

import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import compare, standing
from pathology.contracts.intervals import Interval
from pathology.contracts.lizard.evaluate import PUBLISHED_RESULTS, Confusion, LizardBlock, LizardEvaluation, unit_of


def test_published_numbers_are_those_of_the_facts():
    assert {(row.model, row.measure): row.value for row in PUBLISHED_RESULTS} == {
        ("HoVer-Net", "bpq"): 0.6149,
        ("HoVer-Net", "mpq_plus"): 0.4998,
        ("HoVer-Net", "r2"): 0.8585,
        ("CellViT++ (SAM-H)", "bpq"): 0.536,
        ("CellViT++ (SAM-H)", "mpq"): 0.294,
        ("CellViT++ (SAM-H)", "dice"): 0.774,
        ("CellViT++ (SAM-H)", "aji"): 0.554,
    }
    assert all("https://" in row.source and len(row.how) > 20 for row in PUBLISHED_RESULTS)
    assert {(row.model, row.unit) for row in PUBLISHED_RESULTS} == {
        ("HoVer-Net", "256 px patch"),
        ("CellViT++ (SAM-H)", "whole source image"),
    }


INTERVALS = dict.fromkeys(("bpq", "mpq", "mpq_plus", "r2", "dice", "aji"), Interval(0.58, 0.55, 0.61, 0.01))
"""Above CellViT++'s bPQ and below HoVer-Net's."""


def test_ours_by_patch_stand_beside_theirs_by_patch_alone():
    rows = compare(PUBLISHED_RESULTS, INTERVALS, "256 px patch", same_test=True)
    assert [row.published for row in rows] == list(PUBLISHED_RESULTS)
    assert [(row.standing, row.incomparable) for row in rows] == [
        *(("lower", ""), ("higher", ""), ("lower", "")),
        *[(None, "scores of whole source images")] * 4,
    ]
    assert rows[0].measured.model_dump() == {"value": 0.58, "low": 0.55, "high": 0.61}


def test_another_test_or_patches_of_another_size_have_no_standing():
    rows = compare(PUBLISHED_RESULTS, INTERVALS, "256 px patch", same_test=False)
    assert {(row.standing, row.incomparable) for row in rows[:3]} == {(None, "another test")}
    rows = compare(PUBLISHED_RESULTS, INTERVALS, unit_of(512), same_test=True)
    assert {(row.standing, row.incomparable) for row in rows[:3]} == {(None, "scores of 256 px patches")}


@pytest.mark.parametrize(("published", "expected"), [(0.49, "higher"), (0.5, "within"), (0.7, "within"), (0.71, "lower")])
def test_a_bound_belongs_to_the_interval(published, expected):
    assert standing(Interval(0.6, 0.5, 0.7, 0.05), published) == expected


def test_keys_stand_in_their_order():
    assert list(LizardBlock.model_fields) == [
        *("n", "seen", "confidence", "resamples", "seed", "intervals", "interval_methods", "encoder"),
        *("computed_by", "data", "data_uris", "warnings", "registry"),
        *("task", "side", "central", "sources", "nuclei", "predicted", "empty_patches"),
        *("classes", "confusion", "published", "published_partition", "model"),
    ]


def test_a_confusion_has_a_row_and_a_column_for_each_class():
    right = {"classes": ("a", "b"), "matched": [[3, 1], [0, 2]], "false_negatives": [1, 0], "false_positives": [0, 4]}
    assert Confusion.model_validate(right).matched == [[3, 1], [0, 2]]
    for wrong in (
        {"matched": [[3, 1]]},
        {"matched": [[3, 1], [0]]},
        {"false_negatives": [1]},
        {"false_positives": []},
        {"false_negatives": [-1, 0]},
    ):
        with pytest.raises(ValueError, match=r"each of the 2 classes|greater than or equal"):
            Confusion.model_validate(right | wrong)


def test_what_is_no_evaluation_is_refused_in_one_line():
    with pytest.raises(DataError, match=r"evaluation\.json") as caught:
        LizardEvaluation.from_json(b'{"pathology": {"task": "mhist"}}', "evaluation.json")
    assert "\n" not in str(caught.value)
