"""The probe, before a service that refuses what the test says."""

import json

import pytest
from botocore.exceptions import ClientError

from pipelines.checks.duplicates import duplicates
from pipelines.checks.expressions import all_steps, is_expression
from pipelines.checks.graph import graph_problems
from pipelines.checks.limits import limit_problems
from pipelines.checks.settings import defaults
from pipelines.checks.shapes import request_problems
from pipelines.config import load_task
from pipelines.service.health.probe import NAME, everything, json_get_steps, probe
from tests.pipelines.health import account, answers, doctor, healthy

assert account and answers and doctor and healthy  # fixtures
TASKS = ("msi", "mhist", "lizard")


@pytest.fixture(scope="module")
def definitions(example):
    from pipelines.builder import build

    return {task: build(task, load_task(task, example), example).definition for task in TASKS}


class Service:
    """CreatePipeline and DeletePipeline. ``refuses`` says what is wrong with a definition, or None; ``there`` are its pipelines."""

    def __init__(self, refuses=lambda definition: None, there=()):
        self.refuses, self.there, self.made = refuses, set(there), 0

    def create_pipeline(self, PipelineName, PipelineDefinition, **_):
        if PipelineName in self.there:
            raise self.error("ValidationException", "Pipeline names must be unique within an AWS account and region.")
        said = self.refuses(json.loads(PipelineDefinition))
        if said:
            raise self.error(*said)
        self.made += 1
        self.there.add(PipelineName)

    def delete_pipeline(self, PipelineName):
        self.there.remove(PipelineName)

    @staticmethod
    def error(code, message):
        return ClientError({"Error": {"Code": code, "Message": message}}, "CreatePipeline")


def unknown(*members):
    """Refuses the first of the members that is anywhere in a definition, as CreatePipeline was reported to."""

    def refuses(definition):
        text = json.dumps(definition)
        found = next((name for name in members if f'"{name}"' in text), None)
        return found and ("ValidationException", f"Unable to parse pipeline definition. Unknown Argument member '{found}'")

    return refuses


def said(lines):
    return [line.says for line in lines if line.state == "problem"]


def test_what_is_taken_is_made_once_and_deleted(example, definitions):
    service = Service()
    lines = probe(service, example, definitions)
    assert (service.made, service.there) == (1, set())
    assert {line.state for line in lines} == {"ok"}
    assert len(lines) == len(TASKS) + len(json_get_steps(example))


def test_each_member_that_is_refused_is_named_with_its_task(example, definitions):
    service = Service(unknown("CustomerMetadataProperties", "MaxWaitTimeInSeconds"))
    lines = said(probe(service, example, definitions))
    assert [line.partition(" is refused")[0] for line in lines] == [
        f"{task}: {member}" for task in TASKS for member in ("CustomerMetadataProperties", "MaxWaitTimeInSeconds")
    ]
    assert all("Unknown Argument member" in line for line in lines)
    assert service.there == set()


def test_a_use_of_json_get_that_is_refused_is_named(example, definitions):
    def refuses(definition):
        inputs = [
            item["S3Input"]["S3Uri"] for step in all_steps(definition) for item in step["Arguments"].get("ProcessingInputs", [])
        ]
        if any(step["Name"].startswith("Probe") for step in definition["Steps"]) and any(
            is_expression(uri) and "Std:JsonGet" in uri for uri in inputs
        ):
            return "ValidationException", "JsonGet is not allowed in S3Uri"
        return None

    (line,) = said(probe(Service(refuses), example, definitions))
    assert line.startswith("JsonGet in a Processing S3Uri is refused: ") and line.endswith("JsonGet is not allowed in S3Uri")


def test_another_refusal_is_passed_on_in_its_own_words(example, definitions):
    service = Service(lambda definition: ("ValidationException", "Too large") if len(definition["Steps"]) > 12 else None)
    assert said(probe(service, example, definitions)) == [
        "Pipelines takes each part alone and not all together: look at the size and the number of steps"
    ]
    with pytest.raises(ClientError, match="AccessDenied"):
        probe(Service(lambda _: ("AccessDeniedException", "not you")), example, definitions)


def test_what_an_earlier_probe_left_is_deleted(example, definitions):
    service = Service(there=[NAME])
    assert said(probe(service, example, definitions)) == []
    assert service.there == set()


def test_the_definition_is_sound_and_has_all_that_is_in_use(example, definitions):
    """A fault of the probe's own would look as one of the service."""
    whole = everything(example, definitions)
    assert list(limit_problems(NAME, whole)) == list(graph_problems(whole)) == []
    assert list(request_problems(whole, defaults(whole))) == []
    steps = list(all_steps(whole))
    assert [fault for step in steps for fault in duplicates(step)] == []
    assert {step["Name"] for one in definitions.values() for step in all_steps(one)} <= {step["Name"] for step in steps}
    assert {step["Type"] for step in steps} == {"Processing", "Training", "RegisterModel", "Condition", "Fail"}


def test_every_use_has_its_value_where_it_says(example):
    paths = {use: list(places(step["Arguments"])) for use, step in json_get_steps(example).items()}
    assert paths == {
        "a Processing S3Uri": [("ProcessingInputs", 0, "S3Input", "S3Uri")],
        "a Training S3Uri": [("InputDataConfig", 0, "DataSource", "S3DataSource", "S3Uri")],
        "HyperParameters": [("HyperParameters", "probe")],
        "Environment": [("Environment", "PROBE")],
        "a Join in a Processing S3Uri": [("ProcessingInputs", 0, "S3Input", "S3Uri", "Std:Join", "Values", 0)],
        "a Join in a Training S3Uri": [
            ("InputDataConfig", 0, "DataSource", "S3DataSource", "S3Uri", "Std:Join", "Values", 0),
        ],
    }


def places(node, where=()):
    if isinstance(node, dict) and "Std:JsonGet" in node:
        yield where
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(value, (*where, key))


def test_the_verb_asks_and_leaves_nothing(doctor, here):
    import boto3

    assert doctor("--probe") == 0
    assert doctor.problems == [] and doctor.ok.keys() == {"probe"}
    assert boto3.client("sagemaker", region_name="us-east-1").list_pipelines()["PipelineSummaries"] == []
    done = here("doctor", "--probe")
    assert (done.code, done.err.splitlines()[-1]) == (
        2,
        "error: --probe asks the service, and the local environment has none: name another with --environment",
    )
