"""What the service's cache looks at of a step, and for how long an answer stands."""

from __future__ import annotations

import re
from datetime import timedelta

from pathology.contracts.errors import RequestError

KEY_ATTRIBUTES = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": ("AlgorithmSpecification", "CheckpointConfig", "Environment", "HyperParameters", "InputDataConfig"),
}
"""By type of step: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-default-keys.html."""
_DURATION = re.compile(
    r"P?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?(?:T?(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.IGNORECASE,
)


def duration(text: str) -> timedelta:
    """An ISO 8601 duration, such as ``P30D``, ``30d`` or ``PT12H``.

    Raises:
        RequestError: when it is not a valid one.
    """
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise RequestError(f"ExpireAfter {text!r} is not a valid duration: write P30D or PT12H")
    return timedelta(**{unit: int(value) for unit, value in match.groupdict().items() if value})
