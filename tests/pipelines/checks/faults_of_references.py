"""Faults of property paths, names and paths."""

from __future__ import annotations

from typing import Any

from tests.pipelines.checks.planting import Place, fault, places, properties, put, references


@fault("property path")
def last_letter_lost(_, step, random_):
    return put(references(step), random_, lambda path: path[:-1])


@fault("property path")
def member_too_many(_, step, random_):
    return put(properties(step), random_, lambda path: f"{path}.Uri")


@fault("property path")
def stops_at_a_structure(_, step, random_):
    return put(properties(step), random_, lambda path: path.rsplit(".", 1)[0])


@fault("property path")
def another_case(_, step, random_):
    return put(properties(step), random_, lambda path: f"{path[:-1]}{path[-1].swapcase()}")


@fault("property path")
def member_of_another_job(_, step, random_):
    others = {"ModelArtifacts": "ProcessingOutputConfig.Outputs['x'].S3Output.S3Uri"}

    def change(path: str) -> str:
        _, name, rest = path.split(".", 2)
        return f"Steps.{name}.{others.get(rest.split('.')[0], 'ModelArtifacts.S3ModelArtifacts')}"

    return put(properties(step), random_, change)


@fault("property path")
def member_that_only_a_request_has(_, step, random_):
    if step["Type"] not in ("Processing", "Training"):
        return False
    values = step["Arguments"].get("Environment") or step["Arguments"].get("HyperParameters")
    if not values or not references(step):
        return False
    source = random_.choice(references(step))[0]["Get"].split(".")[1]
    values[next(iter(values))] = {"Get": f"Steps.{source}.CreateRequest.RoleArn"}
    return True


@fault("property path")
def json_path_lost(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "Path"), random_, lambda path: "")


@fault("property path")
def of_itself(_, step, random_):
    values = step["Arguments"].get("Environment") or step["Arguments"].get("HyperParameters")
    if not values:
        return False
    values[random_.choice(sorted(values))] = {"Get": f"Steps.{step['Name']}.RoleArn"}
    return True


@fault("name")
def step_underscored(_, step, random_):
    step["Name"] = f"{step['Name']}_2"
    return True


@fault("name")
def step_too_long(_, step, random_):
    step["Name"] = step["Name"] + "x" * 64
    return True


@fault("name")
def named_field_with_a_blank(_, step, random_):
    return put(named(step, "ChannelName"), random_, lambda name: f"{name} 1")


@fault("name")
def name_empty(_, step, random_):
    return put(named(step, "ChannelName", "ModelPackageGroupName"), random_, lambda name: "")


@fault("name")
def group_underscored(_, step, random_):
    return put(named(step, "ModelPackageGroupName"), random_, lambda name: name.replace("-", "_"))


@fault("name")
def channel_too_long(_, step, random_):
    return put(named(step, "ChannelName"), random_, lambda name: name + "x" * 64)


@fault("name")
def variable_with_a_dash(_, step, random_):
    values = step["Arguments"].get("Environment", {})
    if not values:
        return False
    values["A-DASH"] = values.pop(random_.choice(sorted(values)))
    return True


@fault("name")
def dependence_on_a_step_that_is_not(_, step, random_):
    step["DependsOn"] = [*step.get("DependsOn", []), "Nobody"]
    return True


def named(step: dict[str, Any], *keys: str) -> list[Place]:
    return places(step["Arguments"], lambda key, value: key in keys and isinstance(value, str))


URIS = ("S3Uri", "S3OutputPath", "ModelDataUrl")


@fault("path")
def no_scheme(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key in URIS), random_, lambda uri: "bucket/folder")


@fault("path")
def no_bucket(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key in URIS), random_, lambda uri: "s3:///folder")


@fault("path")
def a_file_system(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key in URIS), random_, lambda uri: "efs://fs-11112222/folder")


@fault("path")
def container_path_relative(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "LocalPath"), random_, lambda path: path.lstrip("/"))


@fault("path")
def container_path_elsewhere(_, step, random_):
    inputs = step["Arguments"].get("ProcessingInputs", [])
    return put(places(inputs, lambda key, value: key == "LocalPath"), random_, lambda path: "/data/input")


@fault("path")
def folder_relative(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "DirectoryPath"), random_, lambda path: path.lstrip("/"))


@fault("path")
def report_in_no_output(_, step, random_):
    return put(places(step.get("PropertyFiles", []), lambda key, value: key == "OutputName"), random_, lambda name: f"{name}x")
