"""Faults of counts, limits and patterns."""

from __future__ import annotations

import copy
import random
from typing import Any

from tests.pipelines.checks.planting import fault, places, put


def enlarged(step: dict[str, Any], key: str, size: int, random_: random.Random) -> bool:
    """Lists and maps under ``key`` grow to ``size`` by entries with names of their own."""

    def change(items: Any) -> Any:
        if isinstance(items, dict):
            return {**items, **{f"key{number}": "1" for number in range(size)}}
        grown = [copy.deepcopy(items[number % len(items)]) for number in range(size)]
        for number, item in enumerate(grown):
            if isinstance(item, dict):
                for name, value in item.items():
                    if name in ("InputName", "OutputName", "ChannelName", "Name", "Key"):
                        item[name] = f"{value}{number}"
                for node, name in places(item, lambda name, value: name == "LocalPath"):
                    node[name] = f"{node[name]}{number}"
        return [f"{item}{number}" if isinstance(item, str) else item for number, item in enumerate(grown)]

    return put(places(step["Arguments"], lambda name, value: name == key and bool(value)), random_, change)


COUNTS = {
    "ProcessingInputs": 11,
    "Outputs": 11,
    "InputDataConfig": 21,
    "Environment": 101,
    "HyperParameters": 101,
    "MetricDefinitions": 41,
    "Tags": 51,
    "SecurityGroupIds": 6,
    "Subnets": 17,
    "CustomerMetadataProperties": 51,
    "Containers": 16,
}
for _key, _size in COUNTS.items():

    def _too_many(_, step, random_, key=_key, size=_size):
        return enlarged(step, key, size, random_)

    _too_many.__name__ = f"too many {_key}"
    fault("count")(_too_many)


@fault("count")
def none_of_them(_, step, random_):
    keys = ("ContainerEntrypoint", "ContainerArguments", "InputDataConfig", "Containers", "Subnets", "Conditions", "Values")
    return put(places(step["Arguments"], lambda key, value: key in keys), random_, lambda items: [])


@fault("count")
def no_instances(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "InstanceCount"), random_, lambda count: 0)


@fault("limit")
def runs_too_long(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "MaxRuntimeInSeconds"), random_, lambda seconds: 29 * 86400)


@fault("limit")
def no_time_to_run(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "MaxRuntimeInSeconds"), random_, lambda seconds: 0)


@fault("limit")
def volume_too_large(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "VolumeSizeInGB"), random_, lambda size: 20000)


@fault("limit")
def tried_too_often(_, step, random_):
    return put(places(step.get("RetryPolicies", []), lambda key, value: key == "MaxAttempts"), random_, lambda count: 21)


@fault("limit")
def waits_too_long(_, step, random_):
    return put(places(step.get("RetryPolicies", []), lambda key, value: key == "IntervalSeconds"), random_, lambda _: 50_000)


@fault("limit")
def never_tried(_, step, random_):
    return put(places(step.get("RetryPolicies", []), lambda key, value: key == "MaxAttempts"), random_, lambda count: 0)


@fault("limit")
def description_too_long(_, step, random_):
    step["Description"] = "x" * 3073
    return True


@fault("limit")
def value_too_long(_, step, random_):
    values = step["Arguments"].get("Environment") or step["Arguments"].get("HyperParameters")
    if not values:
        return False
    values[random_.choice(sorted(values))] = "x" * 2501
    return True


@fault("limit")
def spot_waits_less_than_it_runs(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "MaxWaitTimeInSeconds"), random_, lambda seconds: 60)


@fault("pattern")
def role_of_nobody(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "RoleArn"), random_, lambda arn: arn.replace("iam", "i-am"))


@fault("pattern")
def subnet_with_a_blank(_, step, random_):
    return put(
        places(step["Arguments"], lambda key, value: isinstance(value, str) and value.startswith("subnet-")),
        random_,
        lambda name: f"{name} b",
    )


@fault("pattern")
def tag_with_a_comma(_, step, random_):
    return put(places(step["Arguments"].get("Tags", []), lambda key, value: key == "Value"), random_, lambda _: "a, b")


@fault("pattern")
def tag_reserved(_, step, random_):
    return put(places(step["Arguments"].get("Tags", []), lambda key, value: key == "Key"), random_, lambda _: "aws:project")


@fault("pattern")
def metadata_with_brackets(_, step, random_):
    values = step["Arguments"].get("CustomerMetadataProperties", {})
    return put([(values, key) for key in values], random_, lambda _: "an ensemble (of folds)")


@fault("pattern")
def metadata_empty_or_long(_, step, random_):
    values = step["Arguments"].get("CustomerMetadataProperties", {})
    return put([(values, key) for key in values], random_, lambda _: "x" * 257)


@fault("pattern")
def image_with_a_blank(_, step, random_):
    return put(
        places(step["Arguments"], lambda key, value: key in ("ImageUri", "TrainingImage", "Image")),
        random_,
        lambda uri: f"my {uri}",
    )


@fault("pattern")
def cached_for_a_month_in_words(_, step, random_):
    if "CacheConfig" not in step:
        return False
    step["CacheConfig"]["ExpireAfter"] = random_.choice(["30 days", "P", "PT", "1M30", "P-1D"])
    return True


@fault("pattern")
def unknown_exception(_, step, random_):
    return put(
        places(step.get("RetryPolicies", []), lambda key, value: key == "ExceptionType"), random_, lambda _: ["Step.TIMEOUT"]
    )


@fault("pattern")
def description_of_several_lines(_, step, random_):
    step["Description"] = "First line.\nSecond line."
    return True


@fault("pattern")
def metric_of_half_a_regex(_, step, random_):
    return put(places(step["Arguments"], lambda key, value: key == "Regex"), random_, lambda text: f"({text}")
