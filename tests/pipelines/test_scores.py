"""evaluation.json as a table for people: each number once, under the name that its field knows it by."""

import pytest

from pipelines.scores import print_scores, scores


def leaf(value):
    return {"value": value, "standard_deviation": 0.01}


def bounds(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


BINARY = {
    "binary_classification_metrics": {
        **{name: leaf(0.8) for name in ("auc", "recall", "true_positive_rate", "true_negative_rate", "f0_5")},
        "confusion_matrix": {"0": {"0": 1}},
    },
    "pathology": {
        "n": 7,
        "positives": 3,
        "threshold": 0.5,
        "confidence": 0.95,
        "intervals": {name: bounds(0.8) for name in ("auroc", "sensitivity", "specificity")},
        "task": "msi",
        "warnings": ["few patients"],
    },
}
NUCLEI = {
    "multiclass_classification_metrics": {
        "confusion_matrix": {"1": {"1": 5}},
        **{
            f"{name}{suffix}": leaf(0.7)
            for suffix in ("", "_best_constant_classifier")
            for name in ("accuracy", "weighted_recall", "weighted_precision", "weighted_f0_5")
        },
    },
    "pathology": {
        "n": 18,
        "sources": 6,
        "nuclei": 152,
        "confidence": 0.9,
        "intervals": {name: bounds(0.6) for name in ("bpq", "dice", "aji", "detection_f1", "mpq", "mpq_plus", "r2")},
        "task": "lizard",
        "warnings": [],
    },
}


def printed(evaluation, capsys):
    """Lines of the table without their spaces."""
    print_scores(evaluation)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_operating_points_have_a_line_each(capsys):
    point = {"name": "promised", "threshold": 0.25}
    row = {
        "point": point,
        "decides": False,
        "missed": 0,
        "false_alarms": 3,
        "sensitivity": bounds(0.9),
        "specificity": bounds(0.25),
    }
    youden = {**row, "point": {"name": "youden", "threshold": 0.5}, "decides": True}
    lines = printed({**BINARY, "pathology": {**BINARY["pathology"], "operating_points": [youden, row]}}, capsys)
    expected = "sensitivity 0.900 (0.800 to 1.000), specificity 0.250 (0.150 to 0.350); 0 of 3 missed, 3 of 4 false alarms"
    assert f"operating point youden, 0.500: {expected}; decides" in lines
    assert f"operating point promised, 0.250: {expected}" in lines
    assert not [line for line in printed(BINARY, capsys) if line.startswith("operating point")]


def test_nuclei_by_the_names_of_the_literature(capsys):
    lines = printed(NUCLEI, capsys)
    assert lines[0] == "Score Value SD 90% interval"
    assert [line for line in lines if "0.500 to 0.700" in line] == [
        f"{name} 0.600 0.500 to 0.700" for name in ("bPQ", "Dice", "AJI", "detection F1", "mPQ", "mPQ+", "R²")
    ]
    assert [line for line in lines if line.startswith("class ")] == [
        f"class {name} 0.700 0.010"
        for name in (
            *("accuracy", "weighted precision", "weighted f0.5"),
            *("accuracy, best constant", "weighted precision, best constant", "weighted f0.5, best constant"),
        )
    ]
    assert lines[-1] == "n = 18 patches of 6 source images with 152 nuclei"


def test_without_an_interval_it_says_so_and_what_stands_in_its_place(capsys):
    spread = {"value": 0.793, "lowest": 0.784, "highest": 0.798, "clusters": 3}
    block = {**NUCLEI["pathology"], "intervals": {"bpq": spread, "dice": bounds(0.6)}}
    lines = printed({**NUCLEI, "pathology": block}, capsys)
    assert "bPQ 0.793 none" in lines and "Dice 0.600 0.500 to 0.700" in lines
    assert [line for line in lines if "has no" in line] == [
        "bPQ has no confidence interval: 0.784 to 0.798 as each of 3 source images is left out"
    ]


def test_a_binary_task_keeps_its_names(capsys):
    lines = printed(BINARY, capsys)
    assert "AUROC 0.800 0.010 0.700 to 0.900" in lines and "f0.5 0.800 0.010" in lines
    assert lines[-2:] == ["n = 7, 3 of them positive; threshold 0.500", "warning: few patients"]


@pytest.mark.parametrize("evaluation", [BINARY, NUCLEI])
def test_no_number_is_duplicated_under_two_names(evaluation):
    names = [score.name for score in scores(evaluation)]
    assert len(names) == len(set(names))
    assert not {"recall", "true_positive_rate", "true_negative_rate", "auc"} & set(names)
    assert not any("weighted_recall" in name for name in names)


def test_an_evaluation_of_earlier_or_unknown_code_is_read(capsys):
    block = {key: value for key, value in BINARY["pathology"].items() if key not in ("task", "warnings")}
    lines = printed({**BINARY, "pathology": {**block, "task": "brain", "cautions": ["few patients"]}}, capsys)
    assert "auroc 0.800 0.010 0.700 to 0.900" in lines
    assert lines[-1] == "warning: few patients"
