"""Faults of types, and what stands twice."""

from __future__ import annotations

import copy
import random
from typing import Any

from tests.pipelines.checks.planting import fault, places, put, references


@fault("type")
def number_as_text(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: type(value) is int), random_, str)


@fault("type")
def list_as_text(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: isinstance(value, list) and value), random_, lambda items: "one")


@fault("type")
def text_as_number(_, step, random_):
    """Not in a list: a Std:Join is documented to take numbers."""
    keys = ("Get", "Path", "On", "Type")
    texts = places(step["Arguments"], lambda key, value: isinstance(value, str) and isinstance(key, str) and key not in keys)
    return put(texts, random_, lambda _: 7)


@fault("type")
def another_kind_of_step(_, step, random_):
    step["Type"] = {"Processing": "Training", "Training": "Processing"}.get(step["Type"], "Process")
    return True


@fault("type")
def cache_as_text(_, step, random_):
    if "CacheConfig" not in step:
        return False
    step["CacheConfig"]["Enabled"] = "true"
    return True


@fault("type")
def text_compared_with_a_number(definition, step, random_):
    texts = [parameter["Name"] for parameter in definition["Parameters"] if parameter["Type"] == "String"]
    return put(
        places(step["Arguments"].get("Conditions", []), lambda key, value: key == "RightValue"),
        random_,
        lambda _: {"Get": f"Parameters.{random_.choice(texts)}"},
    )


@fault("type")
def default_of_another_type(definition, step, random_):
    read = {node["Get"].removeprefix("Parameters.") for node, _ in references(step, "Parameters.")}
    numbers = [one for one in definition["Parameters"] if one["Name"] in read and one["Type"] in ("Integer", "Float")]
    return put([(one, "DefaultValue") for one in numbers], random_, str)


@fault("type")
def structure_as_list(_, step, random_):
    keys = ("StoppingCondition", "AppSpecification", "ResourceConfig", "OutputDataConfig", "InferenceSpecification")
    return put(places(step["Arguments"], lambda key, value: key in keys), random_, lambda value: [value])


@fault("type")
def member_lost(_, step, random_):
    """One that no step can do without."""
    del step[random_.choice(["Name", "Type", "Arguments"])]
    return True


@fault("type")
def report_without_a_file(_, step, random_):
    return put(places(step.get("PropertyFiles", []), lambda key, value: key == "FilePath"), random_, lambda _: None)


@fault("type")
def another_kind_of_condition(_, step, random_):
    return put(places(step["Arguments"].get("Conditions", []), lambda key, value: key == "Type"), random_, lambda _: "AtLeast")


@fault("type")
def message_as_number(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "ErrorMessage"), random_, lambda _: 7)


def twice(items: list[Any], random_: random.Random, **others: Any) -> bool:
    """One of the items once more, ``others`` changed in it."""
    if not items:
        return False
    items.append({**copy.deepcopy(random_.choice(items)), **others})
    return True


@fault("duplicate")
def input_twice(_, step, random_):
    return twice(step["Arguments"].get("ProcessingInputs", []), random_)


@fault("duplicate")
def path_of_two_inputs(_, step, random_):
    return twice(step["Arguments"].get("ProcessingInputs", []), random_, InputName="another")


@fault("duplicate")
def channel_twice(_, step, random_):
    return twice(step["Arguments"].get("InputDataConfig", []), random_)


@fault("duplicate")
def output_twice(_, step, random_):
    return twice(step["Arguments"].get("ProcessingOutputConfig", {}).get("Outputs", []), random_)


@fault("duplicate")
def path_of_two_outputs(_, step, random_):
    return twice(step["Arguments"].get("ProcessingOutputConfig", {}).get("Outputs", []), random_, OutputName="another")


@fault("duplicate")
def tag_twice(_, step, random_):
    return twice(step["Arguments"].get("Tags", []), random_, Value="another")


@fault("duplicate")
def step_twice(definition, step, random_):
    definition["Steps"].append(copy.deepcopy(step))
    return True


@fault("duplicate")
def parameter_twice(definition, step, random_):
    read = {node["Get"].removeprefix("Parameters.") for node, _ in references(step, "Parameters.")}
    found = [one for one in definition["Parameters"] if one["Name"] in read]
    if not found:
        return False
    definition["Parameters"].append(copy.deepcopy(random_.choice(found)))
    return True


@fault("duplicate")
def report_twice(_, step, random_):
    return twice(step.get("PropertyFiles", []), random_)
