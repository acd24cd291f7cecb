"""What a model version says of itself is the run's: out of evaluation.json and of the run's parameters, never out of the YAML."""

import re

import pytest
from pathology.contracts.comparison.file import ComparisonFile
from pathology.contracts.lizard.evaluate import LizardEvaluation
from pathology.contracts.mhist.evaluate import MhistEvaluation
from pathology.contracts.msi.evaluate import MsiEvaluation
from pydantic import BaseModel

from pipelines.checks.expressions import all_steps
from pipelines.config import load_task

EVALUATIONS = {"msi": MsiEvaluation, "mhist": MhistEvaluation, "lizard": LizardEvaluation}
OF_THE_ENCODER = {
    "encoder": "pathology.encoder.name",
    "encoder_sha256": "pathology.encoder.sha256",
    "encoder_origin": "pathology.encoder.origin",
}


@pytest.fixture(scope="module", params=EVALUATIONS)
def registered(request, example):
    """The task, its YAML, and what CreateModelPackage is asked for."""
    from pipelines.builder import build

    task = load_task(request.param, example)
    steps = {step["Name"]: step for step in all_steps(build(request.param, task, example).definition)}
    return request.param, task, steps[f"Register{request.param.capitalize()}"]["Arguments"]


def paths_of(metadata):
    return {
        key: value["Std:JsonGet"]["Path"] for key, value in metadata.items() if isinstance(value, dict) and "Std:JsonGet" in value
    }


def test_the_encoder_is_named_by_the_evaluation_and_placed_by_the_run(registered):
    _, _, request = registered
    metadata = request["CustomerMetadataProperties"]
    assert {key: path for key, path in paths_of(metadata).items() if key.startswith("encoder")} == OF_THE_ENCODER
    assert metadata["encoder_uri"] == {"Get": "Parameters.EncoderUri"}


def test_nothing_else_is_the_yamls(registered):
    """Of what is written when the pipeline is built, the task's name alone is left."""
    name, _, request = registered
    metadata = request["CustomerMetadataProperties"]
    assert {key: value for key, value in metadata.items() if isinstance(value, str)} == {"task": name}
    assert "labels" in paths_of(metadata)


def test_the_gate_and_the_execution_are_the_runs(registered):
    name, _, request = registered
    metadata, step = request["CustomerMetadataProperties"], f"Compare{name.capitalize()}"
    for key, path in (("gate", "gate"), ("looks", "looks_text")):
        said = {"PropertyFile": {"Get": f"Steps.{step}.PropertyFiles.{step}Report"}, "Path": path}
        assert metadata[key] == {"Std:JsonGet": said}
    assert metadata["execution"] == {"Get": "Execution.PipelineExecutionId"}


def test_every_path_leads_to_text_in_the_tasks_evaluation_or_comparison(registered):
    name, _, request = registered
    for key, path in paths_of(request["CustomerMetadataProperties"]).items():
        compared = "Compare" in request["CustomerMetadataProperties"][key]["Std:JsonGet"]["PropertyFile"]["Get"]
        model, *parts = ComparisonFile if compared else EVALUATIONS[name], *path.split(".")
        for part in parts:
            assert isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields, path
            model = model.model_fields[part].annotation
        assert model is str, path


def test_no_description_claims_an_encoder_or_a_data_set_that_the_run_may_not_have_used(registered):
    _, task, request = registered
    claims = re.compile(r"optimus|TCGA|MHIST|lizard|\bUNI\b|virchow", re.IGNORECASE)
    assert not claims.search(request["ModelPackageDescription"]) and not claims.search(task.description)
