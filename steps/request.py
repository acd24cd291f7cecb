"""A step whose arguments are the plain boto3 request.

The SDK's own job steps put timestamps, uploads and AWS calls into building (every upsert changes the definition, so no step is
ever cached). This one keeps the SDK's graph, properties, caching and retries, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steps.sdk import (
    CacheConfig,
    ConfigurableRetryStep,
    Properties,
    PropertyFile,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
    StepTypeEnum,
)
from steps.shapes import Request, StepDefinition

_DESCRIBES = {
    StepTypeEnum.PROCESSING: "DescribeProcessingJobResponse",
    StepTypeEnum.TRAINING: "DescribeTrainingJobResponse",
    StepTypeEnum.REGISTER_MODEL: "DescribeModelPackageOutput",
}

CACHED = CacheConfig(enable_caching=True, expire_after="P30D")
"""For steps whose documented cache key tells the truth about their result."""


def retries(of_job: bool = True) -> list[StepRetryPolicy | SageMakerJobStepRetryPolicy]:
    """Service faults and throttling for every step; for jobs also capacity, limits and lost instances, over some hours."""
    policies: list[Any] = [
        StepRetryPolicy(
            [StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
            interval_seconds=10,
            backoff_rate=2.0,
            max_attempts=6,
        )
    ]
    if of_job:
        kinds = SageMakerJobExceptionTypeEnum
        policies += [
            SageMakerJobStepRetryPolicy(
                [kinds.CAPACITY_ERROR, kinds.RESOURCE_LIMIT], interval_seconds=300, backoff_rate=1.5, max_attempts=10
            ),
            SageMakerJobStepRetryPolicy([kinds.INTERNAL_ERROR], interval_seconds=60, backoff_rate=2.0, max_attempts=3),
        ]
    return policies


class RequestStep(ConfigurableRetryStep):
    """A Processing, Training or RegisterModel step made of the request that starts it."""

    def __init__(
        self,
        name: str,
        step_type: StepTypeEnum,
        request: Request,
        *,
        cache: CacheConfig | None = None,
        property_files: Sequence[PropertyFile] = (),
        after: Sequence[Any] = (),
        description: str | None = None,
    ) -> None:
        super().__init__(
            name,
            step_type,
            description=description,
            depends_on=list(after) or None,
            retry_policies=retries(of_job=step_type is not StepTypeEnum.REGISTER_MODEL),
        )
        self.request = request
        self.cache_config = cache
        self.property_files = list(property_files)
        self._properties = Properties(step_name=name, step=self, shape_name=_DESCRIBES[step_type])

    @property
    def arguments(self) -> Request:
        """The request, with pipeline variables in it."""
        return self.request

    @property
    def properties(self) -> Properties:
        """The job's Describe answer, by reference."""
        return self._properties

    def to_request(self) -> StepDefinition:
        """The step as it stands in a definition."""
        step: StepDefinition = super().to_request()
        if self.cache_config:
            step.update(self.cache_config.config)
        if self.property_files:
            step["PropertyFiles"] = [file.expr for file in self.property_files]
        return step
