"""What Pipelines is known not to take, though botocore's model of the call has it.

CreatePipeline holds a definition against a model of its own, which lags the API's. The list has what was reported, each with its
source; ``python -m pipelines.doctor --probe`` asks an account about the fields in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from steps.shapes import StepDefinition


@dataclass(frozen=True)
class Refused:
    """A member of a step's request, why it cannot stand there, and what to do in its place."""

    step_type: str
    member: str
    source: str
    instead: str


REFUSED = (
    Refused(
        "RegisterModel",
        "AdditionalModelDataSources",
        "https://github.com/aws/sagemaker-python-sdk/issues/4994",
        "name the folder in CustomerMetadataProperties, and give it to the model that is made of the version",
    ),
    Refused(
        "RegisterModel",
        "AdditionalS3DataSource",
        "https://github.com/boto/boto3/issues/4510",
        "name the folder in CustomerMetadataProperties, and give it to the model that is made of the version",
    ),
    Refused(
        "RegisterModel",
        "ModelPackageName",
        "https://github.com/aws/sagemaker-python-sdk/pull/3472",
        "name the group, ModelPackageGroupName: the service numbers its versions",
    ),
    Refused(
        "RegisterModel",
        "CertifyForMarketplace",
        "sagemaker/mlops/workflow/model_step.py of the SDK 3.27, which leaves it out of definitions",
        "take it out",
    ),
)


def refused(step: StepDefinition) -> Iterator[str]:
    """Each member of a step's request that Pipelines does not take."""
    for entry in REFUSED:
        if step["Type"] == entry.step_type and _has(step.get("Arguments", {}), entry.member):
            yield f"{entry.member}: Pipelines does not take it ({entry.source}): {entry.instead}"


def _has(node: Any, member: str) -> bool:
    if isinstance(node, dict):
        return member in node or any(_has(value, member) for value in node.values())
    return isinstance(node, list) and any(_has(value, member) for value in node)
