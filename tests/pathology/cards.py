"""What a version's card, made of any task's evaluation, has to say."""

from pathology.contracts.description.card import NOT_STATED, card
from pathology.contracts.description.evaluated import Evaluated, evaluation_sha256


def check_card(evaluation):
    """Of an evaluation.json of a model on an encoder of one's own."""
    found = Evaluated.of(evaluation)
    made = card(found, "A purpose.")
    (test,) = made.evaluation_details
    assert [one.name for one in test.metric_groups[0].metric_data] == list(found.intervals)
    assert str(found.n) in test.evaluation_observation.replace(",", "")
    assert "A number that is not recorded" not in made.training_details.training_observations
    assert made.additional_information.custom_details["encoder's licence"] == NOT_STATED
    assert evaluation_sha256(evaluation) != evaluation_sha256({**evaluation, "pathology": {**evaluation["pathology"], "n": 0}})
