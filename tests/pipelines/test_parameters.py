import json

import pytest
from pathology.contracts.errors import RequestError

from pipelines.checks.definition import check
from pipelines.config import load_task
from pipelines.parameters import check_parameters, parse_parameters, read_params_file
from steps.environment import has_local_storage


def parsed(definition, given):
    return check_parameters(definition, parse_parameters(given))


def test_values_that_fit_are_taken(compiled):
    given = ["Epochs=3", "LearningRate=1e-4", "SlidesUri=s3://mine/slides", "ManifestUri=none", "Precision=bfloat16"]
    assert parsed(compiled.definition, given) == {
        "Epochs": "3",
        "LearningRate": "1e-4",
        "SlidesUri": "s3://mine/slides",
        "ManifestUri": "none",
        "Precision": "bfloat16",
    }


def test_a_folder_is_named_without_the_slash_at_its_end(compiled):
    assert parsed(compiled.definition, ["EncoderUri=s3://mine/encoder/"]) == {"EncoderUri": "s3://mine/encoder"}


@pytest.mark.parametrize(
    ("given", "message"),
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
        ("MaxLeftOutFraction=2", "parameter MaxLeftOutFraction"),
        ("ExtractInstanceCount=0", "should be 1 to 100"),
        ("Precision=float8", "choose one of float32, float16, bfloat16"),
        ("SlidesUri=/data", "is not a valid URI"),
        ("SlidesUri=efs://fs-11112222/datasets/x", "a Processing job cannot mount EFS"),
    ],
)
def test_values_that_do_not_are_refused_in_one_line(compiled, given, message):
    with pytest.raises(RequestError) as refused:
        parsed(compiled.definition, [given])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_definition_deployed_from_other_code_can_be_started(definition, step):
    """What this checkout does not know of the definition is no fault of the values; what it does know is still checked."""
    step("TrainMsi")["Arguments"]["HyperParameters"]["later-setting"] = "1"
    step("EvaluateMsi")["Arguments"]["AppSpecification"]["ContainerArguments"] = ["later_command"]
    assert parsed(definition, ["Epochs=3"]) == {"Epochs": "3"}
    with pytest.raises(RequestError, match="parameter MaxLeftOutFraction"):
        parsed(definition, ["MaxLeftOutFraction=2"])


FILES = {
    "values.yaml": "Epochs: 3\nLearningRate: 1e-4\nExtractionRun: 0123\nSlidesUri: s3://mine/slides\n",
    "values.json": '{"Epochs": 3, "LearningRate": "1e-4", "ExtractionRun": "0123", "SlidesUri": "s3://mine/slides"}',
    "cli.json": '[{"Name": "Epochs", "Value": "3"}, {"Name": "LearningRate", "Value": "1e-4"}, '
    '{"Name": "ExtractionRun", "Value": "0123"}, {"Name": "SlidesUri", "Value": "s3://mine/slides"}]',
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_parameters_is_read_as_it_is_written(compiled, tmp_path, name):
    (tmp_path / name).write_text(FILES[name])
    values = read_params_file(tmp_path / name)
    assert values == {"Epochs": "3", "LearningRate": "1e-4", "ExtractionRun": "0123", "SlidesUri": "s3://mine/slides"}
    assert check_parameters(compiled.definition, values) == values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file of parameters"),
        ("Epochs: [1, 2]", "Epochs: should be one value"),
        ("Epochs:", "Epochs: should be one value"),
        ("just words", "write NAME: VALUE"),
        ("a: b: c", "cannot be read as YAML"),
        ('[{"Name": "Epochs"}]', "write NAME: VALUE"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, content, message):
    path = tmp_path / "values.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestError) as refused:
        read_params_file(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_file_is_no_value():
    assert read_params_file(None) == {}


def test_no_key_goes_to_an_instance_that_stores_on_its_own_disk(example):
    """g4dn, g5 and g6 encrypt theirs in hardware, and the service refuses a key there."""
    from pipelines.builder import build

    env = example.model_copy(
        update={"kms_key": f"arn:aws:kms:us-east-1:{example.account}:key/11112222-3333-4444-5555-666677778888"}
    )
    compiled = build("msi", load_task("msi", env), env)
    keyed = {
        step["Name"]: "VolumeKmsKeyId" in json.dumps(step["Arguments"])
        for step in compiled.definition["Steps"]
        if step["Type"] in ("Processing", "Training")
    }
    assert (keyed["PrepareMsi"], keyed["ExtractFeatures"]) == (True, False)
    assert check(compiled.name, compiled.definition) == []
    assert parsed(compiled.definition, ["PrepareInstanceType=ml.m5.2xlarge"])
    with pytest.raises(RequestError, match="PrepareMsi: ml.m5d.xlarge stores on its own encrypted disk"):
        parsed(compiled.definition, ["PrepareInstanceType=ml.m5d.xlarge"])


@pytest.mark.parametrize(
    ("kind", "local_storage"),
    [
        *((f"ml.{kind}", True) for kind in ("g4dn.xlarge", "g5.xlarge", "g6e.xlarge", "p4d.24xlarge", "c6id.large")),
        *((f"ml.{kind}", False) for kind in ("m5.xlarge", "c6i.xlarge", "p3.2xlarge", "t3.medium")),
    ],
)
def test_which_instances_store_on_their_own_disk(kind, local_storage):
    assert has_local_storage(kind) is local_storage
