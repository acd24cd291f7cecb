"""evaluation.json of lizard: strict, in a fixed order, published numbers held against intervals."""

import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import standing
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import Spread
from pathology.contracts.lizard.evaluate import Confusion, LizardBlock, LizardEvaluation
from pathology.contracts.lizard.published import PUBLISHED_RESULTS, beside_published, unit_of


def test_published_numbers_are_those_of_the_facts():
    assert {(row.model, row.measure): row.value for row in PUBLISHED_RESULTS} == {
        ("HoVer-Net", "bpq"): 0.6149,
        ("HoVer-Net", "mpq_plus"): 0.4998,
        ("HoVer-Net", "r2"): 0.8585,
        ("CellViT++ (SAM-H)", "bpq"): 0.536,
        ("CellViT++ (SAM-H)", "mpq"): 0.294,
        ("CellViT++ (SAM-H)", "dice"): 0.774,
        ("CellViT++ (SAM-H)", "aji"): 0.554,
        ("KongNet", "centroid_f1_neutrophil"): 0.510,
        ("KongNet", "centroid_f1_epithelial"): 0.818,
        ("KongNet", "centroid_f1_lymphocyte"): 0.707,
        ("KongNet", "centroid_f1_plasma"): 0.596,
        ("KongNet", "centroid_f1_eosinophil"): 0.591,
        ("KongNet", "centroid_f1_connective"): 0.695,
    }
    assert all("https://" in row.source and len(row.how) > 20 for row in PUBLISHED_RESULTS)
    assert {(row.model, row.unit) for row in PUBLISHED_RESULTS} == {
        ("HoVer-Net", "256 px patch"),
        ("CellViT++ (SAM-H)", "whole source image"),
        ("KongNet", "256 px patch"),
    }


INTERVALS = dict.fromkeys(("bpq", "mpq", "mpq_plus", "r2", "dice", "aji"), Interval(0.58, 0.55, 0.61, 0.01))
"""Above CellViT++'s bPQ and below HoVer-Net's."""


IMAGES = dict.fromkeys(("bpq", "mpq", "dice", "aji"), Interval(0.48, 0.45, 0.51, 0.01))
CENTROIDS = {"centroid_f1_plasma": Interval(0.7, 0.6, 0.8, 0.05)}


def test_each_stands_beside_scores_of_its_own_kind():
    """HoVer-Net's beside patches, CellViT++'s beside images, KongNet's beside centroids of the classes that there are."""
    rows = beside_published({**INTERVALS, **CENTROIDS}, IMAGES, "256 px patch", same_test=True)
    models = ["HoVer-Net"] * 3 + ["CellViT++ (SAM-H)"] * 4 + ["KongNet"]
    assert [row.published.model for row in rows] == models and rows[-1].published.measure == "centroid_f1_plasma"
    assert [(row.standing, row.incomparable) for row in rows] == [
        *(("lower", ""), ("higher", ""), ("lower", "")),
        *[(None, "ours pools an image's patches")] * 4,
        (None, "its split and radius are not known"),
    ]
    assert rows[0].measured.model_dump() == {"value": 0.58, "low": 0.55, "high": 0.61}
    assert {row.measured.value for row in rows[3:7]} == {0.48} and rows[-1].measured.value == 0.7


def test_without_an_interval_nothing_is_said_of_published_numbers():
    spread = Spread(0.58, 0.57, 0.59, 3, 0.02)
    rows = beside_published(dict.fromkeys(INTERVALS, spread), dict.fromkeys(IMAGES, spread), "256 px patch", same_test=True)
    assert [(row.standing, row.incomparable) for row in rows[:3]] == [(None, "ours has no confidence interval")] * 3
    assert rows[0].measured.model_dump() == {"value": 0.58, "lowest": 0.57, "highest": 0.59, "clusters": 3}


def test_another_test_or_patches_of_another_size_have_no_standing():
    rows = beside_published(INTERVALS, IMAGES, "256 px patch", same_test=False)
    assert {(row.standing, row.incomparable) for row in rows[:3]} == {(None, "another test")}
    rows = beside_published(INTERVALS, IMAGES, unit_of(512), same_test=True)
    assert {(row.standing, row.incomparable) for row in rows[:3]} == {(None, "scores of 256 px patches")}


@pytest.mark.parametrize(("published", "expected"), [(0.49, "higher"), (0.5, "within"), (0.7, "within"), (0.71, "lower")])
def test_a_bound_belongs_to_the_interval(published, expected):
    assert standing(Interval(0.6, 0.5, 0.7, 0.05), published) == expected


def test_keys_stand_in_their_order():
    assert list(LizardBlock.model_fields) == [
        *("n", "seen", "confidence", "resamples", "seed", "intervals", "interval_methods", "encoder"),
        *("computed_by", "data", "data_uris", "warnings", "registry"),
        *("task", "side", "central", "sources", "nuclei", "predicted", "empty_patches"),
        *("classes", "images", "confusion", "baseline", "published", "published_partition", "model"),
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
