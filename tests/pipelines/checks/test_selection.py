"""Which steps of the msi pipeline can be run alone."""

import pytest

from pipelines.checks.selection import selection_problems, sources, with_branches

WHOLE = ["PrepareMsi", "ExtractFeatures", "CollectFeatures", "StageFeatures", "TrainMsi", "EvaluateMsi", "CompareMsi"]


@pytest.mark.parametrize(
    "selected",
    [
        ["TrainMsi"],
        ["EvaluateMsi", "TrainMsi"],
        ["TrainMsi", "EvaluateMsi", "CompareMsi", "CheckMsi", "RegisterMsi"],
        ["CheckMsi"],
        [*WHOLE, "CheckMsi", "RegisterMsi", "MsiBelowThreshold"],
    ],
)
def test_connected_steps_can(definition, selected):
    assert list(selection_problems(definition, selected)) == []


@pytest.mark.parametrize(
    ("selected", "message"),
    [
        ([], "an empty selection"),
        (["TrainMSI"], "TrainMSI: the pipeline's steps are PrepareMsi, "),
        (["RegisterMsi"], "RegisterMsi stands behind CheckMsi"),
        (["EvaluateMsi", "MsiBelowThreshold"], "MsiBelowThreshold stands behind CheckMsi"),
        (["TrainMsi", "CheckMsi"], "EvaluateMsi, CompareMsi lies between the selected steps"),
        (["EvaluateMsi", "CheckMsi"], "CompareMsi lies between the selected steps"),
        (["PrepareMsi", "TrainMsi"], "ExtractFeatures, CollectFeatures, StageFeatures lies between"),
    ],
)
def test_others_cannot(definition, selected, message):
    assert message in next(selection_problems(definition, selected))


def test_steps_side_by_side_are_not_connected():
    steps = [{"Name": name, "Type": "Processing", "Arguments": {}} for name in ("First", "Second")]
    problems = selection_problems({"Steps": steps, "Parameters": []}, ["First", "Second"])
    assert list(problems) == ["Second is not connected with the other selected steps: start it by itself"]


def test_a_gate_brings_both_its_branches(definition):
    assert with_branches(definition, ["EvaluateMsi", "CheckMsi"]) == [
        "EvaluateMsi",
        "CheckMsi",
        "RegisterMsi",
        "DescribeMsi",
        "MsiBelowThreshold",
    ]
    assert with_branches(definition, ["TrainMsi"]) == ["TrainMsi"]


def test_what_a_selection_builds_on(definition):
    assert sources(definition, ["TrainMsi"]) == {"PrepareMsi", "CollectFeatures", "StageFeatures"}
    assert sources(definition, ["PrepareMsi"]) == set()
