"""An execution's parameters: what was given, held against what the pipeline declares."""

from __future__ import annotations

import math
from typing import Any

from pipelines.local.errors import refused
from steps.shapes import Definition, GivenParameter, ParameterDeclaration, ParameterValues

_OPERATION = "StartPipelineExecution"
_MAX_LENGTH = 1024


def typed_parameters(definition: Definition, given: list[GivenParameter]) -> ParameterValues:
    """Every parameter's value, given or default, in its type.

    Raises:
        ClientError: as the service refuses: unknown names, names given twice, wrong types, values outside an enumeration.
    """
    values: ParameterValues = {}
    for item in given:
        if item["Name"] in values:
            raise refused(_OPERATION, f"Parameter {item['Name']} is given twice.")
        if not isinstance(item["Value"], str) or len(item["Value"]) > _MAX_LENGTH:
            raise refused(_OPERATION, f"Parameter {item['Name']}: a value is a string of at most {_MAX_LENGTH} characters.")
        values[item["Name"]] = item["Value"]
    declared = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise refused(_OPERATION, f"Parameters {unknown} are not defined in the pipeline definition.")
    return {name: _typed(parameter, values.get(name, parameter.get("DefaultValue"))) for name, parameter in declared.items()}


def _typed(parameter: ParameterDeclaration, value: Any) -> Any:
    name, kind = parameter["Name"], parameter["Type"]
    if value is None:
        raise refused(_OPERATION, f"Parameter {name} has no default and no value was given.")
    try:
        typed = _convert(kind, value)
    except ValueError:
        raise refused(_OPERATION, f"Parameter {name} is {value!r}, not of type {kind}.") from None
    if parameter.get("EnumValues") and typed not in parameter["EnumValues"]:
        raise refused(_OPERATION, f"Parameter {name} is {value!r}, not one of {', '.join(map(str, parameter['EnumValues']))}.")
    return typed


def _convert(kind: str, value: Any) -> Any:
    match kind:
        case "Integer":
            return int(value)
        case "Float":
            number = float(value)
            if not math.isfinite(number):
                raise ValueError(value)
            return number
        case "Boolean":
            text = str(value).lower()
            if text not in ("true", "false"):
                raise ValueError(value)
            return text == "true"
        case _:
            return str(value)
