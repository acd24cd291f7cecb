"""A version's card: what it says, what is cut, and what of an evaluation makes two versions the same. Each card is held against the SDK's
shapes of it, strictly, and against the lengths that the service documents."""

import copy
import json

import pytest
from pathology.contracts.description.card import CUT, LEFT_OUT, NOT_STATED, card
from pathology.contracts.description.evaluated import Evaluated, evaluation_sha256
from pathology.contracts.description.schema import LONG, MAX_CONTENT, ModelCard
from pathology.contracts.errors import DataError

from pipelines.checks.shapes import request_faults

ARN = "arn:aws:sagemaker:eu-central-1:111122223333:model-package/pathology-msi/1"


def checked(content: str) -> dict:
    """The card, once the SDK's shapes read all of it, and lose and change nothing."""
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    said = json.loads(content)
    assert json.loads(ModelCardContent.model_validate_json(content).model_dump_json(exclude_none=True)) == said
    assert set(said["model_overview"]) <= {"model_creator", "model_artifact"}  # all that a model package's has of it
    assert len(content) <= MAX_CONTENT
    assert "\n" not in content
    assert request_faults("UpdateModelPackage", {"ModelPackageArn": ARN, "ModelCard": {"ModelCardContent": content}}) == []
    return said


def card_of(evaluation: dict, purpose: str = "Tells them apart.") -> dict:
    """The checked card of an evaluation.json."""
    return checked(card(Evaluated.of(evaluation), purpose).content())


BOUNDS = {"value": 0.91, "low": 0.85, "high": 0.96}
RANGE = {"value": 0.5, "lowest": 0.4, "highest": 0.6, "clusters": 7}
SOURCE = {"repository": "bioptimus/H-optimus-0", "revision": "0" * 40, "sha256": "e" * 64}


@pytest.fixture
def evaluation():
    """As much as a card reads, and a task's own besides."""
    training = {"code": "c0de", "settings": {"epochs": "20", "note": ""}, "inputs": {"cohort": "a" * 64}, "libraries": {}}
    model = {"archive_uri": "s3://b1x/runs/p/e/TrainMsi/j/model.tar.gz", "archive_sha256": "b" * 64, "serving_code": "5e4e"}
    block = {
        "n": 98,
        "positives": 15,
        "seen": {"unit": "patients", "test_items": 98, "seen": None, "names": []},
        "confidence": 0.95,
        "intervals": {"auroc": BOUNDS, "dice": RANGE},
        "interval_methods": {"auroc": "Newcombe's"},
        "encoder": {"name": "h-optimus-0", "sha256": "e" * 64, "origin": "verified", "source": SOURCE, "remark": ""},
        "computed_by": {"pipeline": "pathology-msi", "execution": "abc", "step": "EvaluateMsi", "uri": "s3://b1x/runs/x"},
        "data": {"cohort_sha256": "d" * 64},
        "data_uris": {"cohort": "s3://b1x/cohort.csv"},
        "warnings": ["The test set is small."],
        "model": {**model, "training": training},
        "baseline": {"fitted_on": 300, "positives": 45, "name": "mean"},
        "sites": [],
    }
    return {"binary_classification_metrics": {"auc": {"value": 0.91}}, "pathology": block}


def custom(said):
    return said["additional_information"]["custom_details"]


def test_a_card_says_use_data_scores_limits_warnings_and_the_encoder_s_licence(evaluation):
    said = card_of(evaluation, "MSI per patient.")
    assert said["intended_uses"]["purpose_of_model"] == "MSI per patient."
    assert "Not a medical device" in said["intended_uses"]["intended_uses"]
    assert "98 patients" in said["intended_uses"]["factors_affecting_model_efficiency"]
    assert said["model_overview"] == {
        "model_creator": "pipeline pathology-msi, execution abc",
        "model_artifact": ["s3://b1x/runs/p/e/TrainMsi/j/model.tar.gz"],
    }
    training = said["training_details"]
    assert training["training_observations"] == "Trained on 300 patients, 45 of them positive. Code of training: c0de."
    assert training["training_job_details"]["user_provided_hyper_parameters"] == [
        {"name": "epochs", "value": "20"},
        {"name": "note", "value": "(empty)"},
    ]
    test = said["evaluation_details"][0]
    assert test["evaluation_observation"].startswith("98 patients, 15 of them positive. It is not known how many")
    assert (test["datasets"], test["metadata"]) == (["cohort: s3://b1x/cohort.csv"], {"cohort_sha256": "d" * 64})
    auroc, dice = test["metric_groups"][0]["metric_data"]
    assert (auroc["value"], auroc["notes"]) == (0.91, "95% interval 0.85 to 0.96 (Newcombe's)")
    assert dice["notes"] == "no confidence interval; 0.4 to 0.6 as each of 7 clusters is left out"
    assert said["additional_information"]["caveats_and_recommendations"] == "The test set is small."
    assert custom(said)["encoder's licence"].startswith("Apache-2.0")
    assert LEFT_OUT not in custom(said)


@pytest.mark.parametrize("source", [None, {**SOURCE, "repository": "somebody/else"}])
def test_an_encoder_s_licence_is_known_of_a_proven_checkpoint_alone(evaluation, source):
    """Whatever its name."""
    evaluation["pathology"]["encoder"]["source"] = source
    assert custom(card_of(evaluation))["encoder's licence"] == NOT_STATED


def test_what_is_too_long_is_cut_and_the_card_says_so(evaluation):
    block = evaluation["pathology"]
    block["warnings"] = [f"Warning {number}\nof many." for number in range(500)]
    block["model"]["training"]["settings"] = {f"s{number}": "x" * 300 for number in range(130)}
    block["data_uris"] = {f"u{number:02}": "s3://b1x/" + "y" * 2000 for number in range(12)}
    said = card_of(evaluation)
    warnings = said["additional_information"]["caveats_and_recommendations"]
    assert (len(warnings), warnings.endswith(CUT)) == (LONG, True)
    assert all(uri.endswith(CUT) for uri in said["evaluation_details"][0]["datasets"])
    assert custom(said)[LEFT_OUT] == "30 hyperparameters, 2 places of test data: evaluation.json has them"


def test_a_card_that_is_too_long_as_a_whole_has_fewer_measures_and_counts_them(evaluation):
    block = evaluation["pathology"]
    block["intervals"] = {f"measure-{number}-{'m' * 230}": BOUNDS for number in range(400)}
    said = card_of(evaluation)
    left = 400 - len(said["evaluation_details"][0]["metric_groups"][0]["metric_data"])
    assert 0 < left < 400
    assert custom(said)[LEFT_OUT].startswith(f"{left} measures")


def test_the_same_evaluation_elsewhere_is_the_same_and_another_score_or_artefact_is_not(evaluation):
    digest, elsewhere = evaluation_sha256(evaluation), copy.deepcopy(evaluation)
    elsewhere["pathology"] |= {"computed_by": None, "data_uris": {}}
    elsewhere["pathology"]["model"]["archive_uri"] = "s3://b1x/other/model.tar.gz"
    assert evaluation_sha256(json.loads(json.dumps(elsewhere))) == digest
    for change in ({"n": 97}, {"model": {**evaluation["pathology"]["model"], "archive_sha256": "c" * 64}}, {"sites": ["A7"]}):
        other = {**evaluation, "pathology": {**evaluation["pathology"], **change}}
        assert evaluation_sha256(other) != digest


@pytest.mark.parametrize(
    ("change", "message"), [({"n": -1}, "pathology: n: "), ({"intervals": {"auroc": {"value": 1}}}, "pathology: intervals.auroc")]
)
def test_a_damaged_evaluation_is_named(evaluation, change, message):
    evaluation["pathology"] |= change
    with pytest.raises(DataError, match=message):
        Evaluated.of(evaluation)
    with pytest.raises(DataError, match=r"evaluation\.json: pathology"):
        Evaluated.of({})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"model_overview": {"model_name": "x"}}', "model_overview.model_name: unknown key"),
        ('{"intended_uses": {"risk_rating": "None"}}', "risk_rating"),
        ('{"evaluation_details": [{"name": ""}]}', "evaluation_details.0.name"),
    ],
)
def test_a_card_of_another_schema_is_refused(content, message):
    with pytest.raises(DataError, match=message):
        ModelCard.from_json(content.encode(), "card")
