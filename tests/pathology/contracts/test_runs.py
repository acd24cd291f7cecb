"""Which execution computed an output, and how a training went, as files keep it."""

import math
from types import SimpleNamespace

import pytest
from pathology.contracts.history import LossCurve
from pathology.contracts.runs import RunOutput
from pathology.contracts.uris import Uri


def test_the_execution_is_read_where_the_graph_writes_it():
    """The folder that a graph names, its variables filled in as the service does."""
    from steps.jobs import run_folder

    variables = {"Execution.PipelineName": "pathology-msi", "Execution.PipelineExecutionId": "k3j9x2m4q8zt"}
    folder = run_folder(SimpleNamespace(bucket="b-1"), "EvaluateMsi", "evaluation")
    uri = "/".join(value if isinstance(value, str) else variables[value.expr["Get"]] for value in folder.values)
    assert RunOutput.of(Uri.parse(uri)) == RunOutput(
        pipeline="pathology-msi", execution="k3j9x2m4q8zt", step="EvaluateMsi", uri=uri
    )


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/evaluation",
        "s3://bucket/runs/pathology-msi/k3j9x2m4q8zt/EvaluateMsi",
        "s3://bucket/runs/pathology-msi/k3j9x2m4q8zt/EvaluateMsi/evaluation/more",
        "s3://bucket/runs/pathology-msi//EvaluateMsi/evaluation",
        "s3://bucket/mine/pathology-msi/k3j9x2m4q8zt/EvaluateMsi/evaluation",
        "efs://fs-12345678/runs/pathology-msi/k3j9x2m4q8zt/EvaluateMsi/evaluation",
    ],
)
def test_another_place_names_no_execution(uri):
    assert RunOutput.of(Uri.parse(uri)) is None


def test_losses_are_kept_to_six_digits_and_what_is_no_number_is_null():
    curve = LossCurve.of("fold 1", 2, [(0.123456789, 0.7), (0.1, 0.65), (math.nan, math.inf)])
    assert curve.training == (0.123457, 0.1, None) and curve.validation == (0.7, 0.65, None)
    assert LossCurve.from_json(curve.to_json(), "x") == curve


@pytest.mark.parametrize("wrong", [{"best": 3}, {"best": 0}, {"training": (1.0,)}])
def test_a_curve_that_does_not_fit_itself_is_refused(wrong):
    with pytest.raises(ValueError, match=r"best|losses"):
        LossCurve.model_validate({"name": "", "best": 1, "training": (1.0, 2.0), "validation": (1.0, 2.0)} | wrong)
