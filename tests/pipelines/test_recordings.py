"""The recorded answers are ones that the service could give: their members, types and enumerations, as botocore knows them."""

import json
from pathlib import Path

import botocore.session
import pytest

RECORDINGS = sorted((Path(__file__).parent / "recorded").glob("*.json"))
MODEL = botocore.session.get_session().get_service_model("sagemaker")


def faults(shape, value, where):
    match shape.type_name:
        case "structure":
            yield from (f"{where}.{key}: no member" for key in set(value) - set(shape.members))
            yield from (f"{where}.{key}: missing" for key in set(shape.required_members) - set(value))
            for key in set(value) & set(shape.members):
                yield from faults(shape.members[key], value[key], f"{where}.{key}")
        case "list":
            for number, item in enumerate(value):
                yield from faults(shape.member, item, f"{where}[{number}]")
        case "string":
            if not isinstance(value, str) or (getattr(shape, "enum", None) and value not in shape.enum):
                yield f"{where}: {value!r}"
        case "timestamp" | "integer" | "long" | "float" | "double":
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{where}: {value!r}"


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_fits_the_services_model(path):
    for operation, bodies in json.loads(path.read_text()).items():
        for body in bodies:
            assert list(faults(MODEL.operation_model(operation).output_shape, body, operation)) == []


def test_a_fault_is_seen():
    shape = MODEL.operation_model("ListPipelineExecutionSteps").output_shape
    wrong = {"PipelineExecutionSteps": [{"StepStatus": "Done", "StartTime": "now", "What": 1}]}
    assert len(list(faults(shape, wrong, "x"))) == 3
