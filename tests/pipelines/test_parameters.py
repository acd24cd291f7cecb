import pytest
from pathology.contracts.errors import RequestError

from pipelines.parameters import parse_parameters


def test_values_that_fit_are_taken(built):
    given = ["Epochs=3", "LearningRate=1e-4", "SlidesUri=s3://mine/slides", "ManifestUri=none", "Precision=bfloat16"]
    assert parse_parameters(built.definition, given) == {
        "Epochs": "3",
        "LearningRate": "1e-4",
        "SlidesUri": "s3://mine/slides",
        "ManifestUri": "none",
        "Precision": "bfloat16",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Epoch=3", "no parameter 'Epoch'; did you mean Epochs?"),
        ("Whatever=3", "no parameter 'Whatever'; it has SlidesUri"),
        ("Epochs", "write NAME=VALUE"),
        ("Epochs=three", "should be a whole number"),
        ("Epochs=2.5", "should be a whole number"),
        ("Epochs=0", "parameter Epochs: Input should be greater than or equal to 1"),
        ("LearningRate=nan", "parameter LearningRate"),
        ("LearningRate=fast", "should be a number"),
        ("MinAuroc=1.5", "should be 0 to 1"),
        ("MaxFailedFraction=2", "parameter MaxFailedFraction"),
        ("ExtractInstanceCount=0", "should be 1 to 100"),
        ("Precision=float8", "choose one of float32, float16, bfloat16"),
        ("SlidesUri=/data", "is no URI"),
        ("SlidesUri=efs://fs-11112222/datasets/x", "a Processing job cannot mount EFS"),
        ("ModelApprovalStatus=Maybe", "choose one of"),
    ],
)
def test_values_that_do_not_are_refused_in_one_line(built, given, said):
    with pytest.raises(RequestError) as refused:
        parse_parameters(built.definition, [given])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
