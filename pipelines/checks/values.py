"""Texts that parameters are given as, read strictly: one rule for verbs, files of values, this machine's account and its defaults.

Numbers are written as JSON writes them (RFC 8259, section 6), in ASCII digits. What Python takes besides, such as ``1_000``, ``' 5 '``
or digits of another script, nobody has shown the service to take, and it would stand in the request as it was typed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pathology.contracts.errors import RequestError

from steps.shapes import Definition, ParameterDeclaration, ParameterValues

MAX_LENGTH = 1024
"""Characters of a value: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Parameter.html."""
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"(?P<digits>-?(0|[1-9][0-9]*)(\.[0-9]+)?)([eE][+-]?[0-9]+)?")
_EXPECTED = {
    "Integer": "should be a whole number in plain digits, such as 1000",
    "Float": "should be a number in plain digits, such as 0.5 or 1e-4",
    "Boolean": "should be true or false",
}
_SHOWN = 60
Problems = Callable[[Definition, ParameterValues], Iterable[tuple[str, str]]]
"""Pairs of step and fault, with these values of all parameters."""


def shown(text: Any) -> str:
    """A value as it was given, in one line and escaped, digits of another script too: they look like what they are not."""
    short = f"{text[:_SHOWN]}…" if isinstance(text, str) and len(text) > _SHOWN else text
    return "".join(c if c.isascii() or not c.isdigit() else ascii(c)[1:-1] for c in repr(short))


def is_number(text: str, *, whole: bool) -> bool:
    """Whether a text is a number as it should be written, a whole one where ``whole``."""
    return _typed("Integer" if whole else "Float", text) is not None


def read_value(parameter: ParameterDeclaration, text: Any) -> Any:
    """``text`` as a value of the parameter's type: int, float, bool or str.

    Raises:
        RequestError: one line that names the parameter, the text, and what it should be.
    """
    fault, value = _read(parameter, text)
    if fault:
        raise RequestError(f"parameter {parameter['Name']}={shown(text)}: {fault}")
    return value


def read_values(definition: Definition, given: Mapping[str, Any]) -> ParameterValues:
    """Every parameter's value in its type: of ``given``, texts by names that the definition declares, or its default.

    Raises:
        RequestError: as ``read_value``, and for a parameter that has neither.
    """
    declared = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    values = {**_usual(definition), **{name: read_value(declared[name], text) for name, text in given.items()}}
    for name, value in values.items():
        if value is None:
            raise RequestError(f"parameter {name}: has no default and no value was given")
    return values


def _usual(definition: Definition) -> ParameterValues:
    """Every default; a Float's is one where JSON has it without a fraction."""
    floats = {parameter["Name"] for parameter in definition["Parameters"] if parameter["Type"] == "Float"}
    values = {parameter["Name"]: parameter.get("DefaultValue") for parameter in definition["Parameters"]}
    return {name: float(value) if name in floats and isinstance(value, int) else value for name, value in values.items()}


def refuse_faults(definition: Definition, values: ParameterValues, given: Mapping[str, Any], problems: Problems) -> None:
    """Refuse what ``problems`` finds with these values and not with the defaults: a definition may come from other code than this.

    Raises:
        RequestError: with the first fault, the parameters of ``given`` that it comes from, and their texts.
    """
    if not given:
        return
    usual = _usual(definition)
    before = set(problems(definition, usual))
    for found in problems(definition, values):
        if found not in before:
            names = list(_to_blame(definition, values, given, problems, found)) or list(given)
            blamed = ", ".join(f"{name}={shown(given[name])}" for name in names)
            raise RequestError(f"parameter {blamed}: {found[0]}: {found[1]}")


def _to_blame(
    definition: Definition, values: ParameterValues, given: Mapping[str, Any], problems: Problems, found: tuple[str, str]
) -> Iterator[str]:
    """The given parameters without which there is no such fault."""
    usual = _usual(definition)
    yield from (name for name in given if found not in set(problems(definition, {**values, name: usual[name]})))


def _read(parameter: ParameterDeclaration, text: Any) -> tuple[str | None, Any]:
    """What is wrong with the text, or None, and the value."""
    kind, choices = parameter["Type"], parameter.get("EnumValues")
    if not isinstance(text, str):
        return "a value is given as text", None
    if not text:
        return "is empty; a parameter that is not given has its default", None
    if len(text) > MAX_LENGTH:
        return f"has {len(text)} characters, over the service's {MAX_LENGTH}", None
    if any(unicodedata.category(character) == "Cs" or character == "\0" for character in text):
        return "has a character that no request can carry", None
    value = _typed(kind, text)
    if value is None:
        return _EXPECTED[kind], None
    if choices and value not in choices:
        return f"choose one of {', '.join(map(str, choices))}", None
    return None, value


def _typed(kind: str, text: str) -> Any:
    """None for a text that is no value of that type."""
    match kind:
        case "Integer":
            return int(text) if _INTEGER.fullmatch(text) else None
        case "Float":
            return _number(text)
        case "Boolean":
            return {"true": True, "false": False}.get(text)
        case _:
            return text


def _number(text: str) -> float | None:
    match = _FLOAT.fullmatch(text)
    number = float(text) if match else math.nan
    lost = number == 0 and match is not None and any(digit in "123456789" for digit in match["digits"])
    return None if lost or not math.isfinite(number) else number
