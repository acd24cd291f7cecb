"""Names for what local state keeps: members as in the service's answers, times as text in ISO 8601."""

from __future__ import annotations

from typing import Any, TypedDict

from steps.shapes import GivenParameter, ParameterValues, Selection

Record = dict[str, Any]
"""What a file holds of a job, a model version or a group: what Describe answers of it, with times as text."""


class PipelineRecord(TypedDict, total=False):
    """A pipeline's file: what DescribePipeline answers, times as text, and its tags."""

    PipelineName: str
    PipelineArn: str
    PipelineDefinition: str
    PipelineDescription: str
    PipelineDisplayName: str
    PipelineStatus: str
    ParallelismConfiguration: dict[str, int]
    RoleArn: str
    CreationTime: str
    LastModifiedTime: str
    Tags: list[dict[str, str]]


class ExecutionRecord(TypedDict, total=False):
    """execution.json: what DescribePipelineExecution answers, times as text; with the pipeline's name, every parameter's value, and
    which of them were given."""

    PipelineName: str
    PipelineArn: str
    PipelineExecutionArn: str
    PipelineExecutionDisplayName: str
    PipelineExecutionDescription: str
    PipelineExecutionStatus: str
    FailureReason: str
    ParallelismConfiguration: dict[str, int]
    SelectiveExecutionConfig: Selection
    CreationTime: str
    LastModifiedTime: str
    Parameters: ParameterValues
    Given: list[GivenParameter]


class StepRecord(TypedDict, total=False):
    """A step's file: what ListPipelineExecutionSteps answers of it, times as text. ``Metadata`` names what it made or decided:
    ``{"TrainingJob": {"Arn": …}}``."""

    StepName: str
    StepDescription: str
    StepStatus: str
    StartTime: str
    EndTime: str
    AttemptCount: int
    FailureReason: str
    CacheHitResult: dict[str, str]
    SelectiveExecutionResult: dict[str, str]
    Metadata: dict[str, dict[str, str]]


class Deployment(TypedDict, total=False):
    """What an endpoint runs or is to run: the configuration and the model of its variant as they were then, since both may be deleted
    under it, and what UpdateEndpoint was given. ``Baking`` is since when requests go to it while the one before it still stands by."""

    Config: Record
    Model: Record
    DeploymentConfig: dict[str, Any]
    StartTime: str
    Baking: str


class EndpointRecord(TypedDict, total=False):
    """endpoint.json: what DescribeEndpoint answers, times as text; its tags, its address, what it runs and what it is to run instead,
    and why its server is being started again."""

    EndpointName: str
    EndpointArn: str
    EndpointConfigName: str
    EndpointStatus: str
    FailureReason: str
    CreationTime: str
    LastModifiedTime: str
    LastDeploymentConfig: dict[str, Any]
    Tags: list[dict[str, str]]
    Url: str
    Deployed: Deployment
    Pending: Deployment
    Restarting: dict[str, str]


class FinalMetric(TypedDict):
    """A metric's last value, as it stands in a Training job's FinalMetricDataList."""

    MetricName: str
    Value: float
    Timestamp: str
