"""Texts read as parameters' values: one table of inputs, which every place that takes texts is held against."""

import pytest
from pathology.contracts.errors import RequestError

from pipelines.checks.settings import defaults, setting_problems
from pipelines.checks.values import read_value, read_values, shown
from pipelines.parameters import check_parameters
from tests.pipelines.checks.texts import NO_NUMBERS, NO_WHOLE_NUMBERS, NUMBERS, WHOLE_NUMBERS


def parameter(kind, **more):
    return {"Name": "Count", "Type": kind, **more}


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("Integer", WHOLE_NUMBERS),
        ("Float", NUMBERS),
        ("Boolean", {"true": True, "false": False}),
        ("String", {" a b ": " a b ", "１０": "１０", "nan": "nan"}),
    ],
)
def test_a_text_is_a_value_of_its_parameters_type(kind, texts):
    for text, value in texts.items():
        read = read_value(parameter(kind), text)
        assert (read, type(read)) == (value, type(value)), text


@pytest.mark.parametrize(
    ("kind", "texts", "expected"),
    [
        ("Integer", NO_WHOLE_NUMBERS, "should be a whole number in plain digits, such as 1000"),
        ("Float", NO_NUMBERS, "should be a number in plain digits, such as 0.5 or 1e-4"),
        ("Boolean", ("True", "yes", "1", " true"), "should be true or false"),
        ("Integer", ("",), "is empty; a parameter that is not given has its default"),
        ("String", ("",), "is empty; a parameter that is not given has its default"),
        ("String", ("a\0b", "\udcff"), "has a character that no request can carry"),
        ("String", (5, True, None, ["a"]), "a value is given as text"),
        ("String", ("a" * 1025,), "has 1025 characters, over the service's 1024"),
    ],
)
def test_any_other_is_refused_in_a_line_that_shows_it_as_it_was_given(kind, texts, expected):
    for text in texts:
        with pytest.raises(RequestError) as refused:
            read_value(parameter(kind), text)
        line = str(refused.value)
        assert line == f"parameter Count={shown(text)}: {expected}"
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "form"),
    [("１０", r"'\uff11\uff10'"), ("Größe 1", "'Größe 1'"), ("a\nb", r"'a\nb'"), (" 5 ", "' 5 '"), ("x" * 61, f"'{'x' * 60}…'")],
)
def test_what_looks_like_something_else_is_escaped(text, form):
    assert shown(text) == form


def test_choices_are_held_as_values():
    chosen = parameter("Integer", EnumValues=[1, 2])
    assert read_value(chosen, "2") == 2
    with pytest.raises(RequestError, match="parameter Count='3': choose one of 1, 2"):
        read_value(chosen, "3")


def test_defaults_stand_in_for_what_is_not_given_and_one_without_is_named():
    declared = [parameter("Integer", DefaultValue=3), {"Name": "Rate", "Type": "Float", "DefaultValue": 1}]
    assert read_values({"Parameters": declared}, {"Count": "4"}) == {"Count": 4, "Rate": 1.0}
    with pytest.raises(RequestError, match="parameter Count: has no default and no value was given"):
        read_values({"Parameters": [parameter("Integer")]}, {})


@pytest.mark.parametrize("text", ["0.1_0", "０.５", "+0.5", ".5"])
def test_a_setting_that_may_be_none_is_a_number_all_the_same(compiled, text):
    """It is text to the service, and the job would take more than a number."""
    assert check_parameters(compiled.definition, {"DefaultMpp": "0.5", "Prevalences": "0.1, 0.2"})
    for given in ({"DefaultMpp": text}, {"Prevalences": f"0.1,{text}"}):
        with pytest.raises(RequestError, match="should be a number in plain digits, such as 0.5, not "):
            check_parameters(compiled.definition, given)
    with pytest.raises(RequestError, match="parameter DefaultMpp=' 0.5': .* should be a number in plain digits"):
        check_parameters(compiled.definition, {"DefaultMpp": " 0.5"})


@pytest.mark.parametrize("task", ["msi", "mhist", "lizard"])
def test_every_default_is_written_as_values_are(task, example):
    from pipelines.builder import build
    from pipelines.config import load_task

    definition = build(task, load_task(task, example), example).definition
    usual = defaults(definition)
    assert list(setting_problems(definition, usual)) == []
    texts = {name: str(value) for name, value in usual.items()}
    assert read_values(definition, texts) == usual
    assert check_parameters(definition, texts) == texts
