"""An execution's parameters: what was given, held against what the pipeline declares."""

from __future__ import annotations

from pathology.contracts.errors import RequestError

from pipelines.checks.shapes import request_problems
from pipelines.checks.values import read_values, refuse_faults
from pipelines.local.errors import refused
from steps.shapes import Definition, GivenParameter, ParameterValues

_OPERATION = "StartPipelineExecution"


def typed_parameters(definition: Definition, given: list[GivenParameter]) -> ParameterValues:
    """Every parameter's value, given or default, in its type.

    Values that a job's request cannot have are refused here too. The service lets the step fail, before there is a job; here the job
    would run, as no instance is rented.

    Raises:
        ClientError: for unknown names, names given twice, wrong types, values outside an enumeration, or refused by a request's shape.
    """
    texts: dict[str, str] = {}
    for item in given:
        if item["Name"] in texts:
            raise refused(_OPERATION, f"Parameter {item['Name']} is given twice.")
        texts[item["Name"]] = item["Value"]
    unknown = sorted(set(texts) - {parameter["Name"] for parameter in definition["Parameters"]})
    if unknown:
        raise refused(_OPERATION, f"Parameters {unknown} are not defined in the pipeline definition.")
    try:
        values = read_values(definition, texts)
        refuse_faults(definition, values, texts, request_problems)
    except RequestError as error:
        raise refused(_OPERATION, str(error)) from None
    return values
