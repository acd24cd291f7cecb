"""Names for the JSON that graphs are made of: a pipeline definition and its parts, and the parts of jobs' requests.

Members are spelt as SageMaker spells them, and only those are here that this repository writes or reads. The types say what is meant
and check nothing at run time: ``pipelines.checks`` does that.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

Value = Any
"""A literal; in a definition also an :class:`Expression`; in a graph that is being built also one of the SDK's variables."""
Request = dict[str, Any]
"""A call's arguments as boto3 takes them, at any depth; in a definition with expressions in it, as a step's Arguments."""
Answer = dict[str, Any]
"""What boto3 answers to a call; of a job or a model version mostly what Describe answers."""
ParameterValues = dict[str, Any]
"""Values of a pipeline's parameters by name, each in its parameter's type; None where nothing tells the value."""


class JoinFunction(TypedDict):
    """What ``Std:Join`` is given: the text of all values, with ``On`` between them."""

    On: NotRequired[str]
    Values: list[Value]


class JsonGetFunction(TypedDict):
    """What ``Std:JsonGet`` is given: a property file, as ``{"Get": "Steps.<step>.PropertyFiles.<name>"}``, and a path in it."""

    PropertyFile: dict[str, str]
    Path: str


Expression = TypedDict("Expression", {"Get": str, "Std:Join": JoinFunction, "Std:JsonGet": JsonGetFunction}, total=False)
"""What stands in a definition in place of a value; it has exactly one of these keys."""


class ParameterDeclaration(TypedDict):
    """A parameter that a pipeline declares: https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-parameters.html."""

    Name: str
    Type: str
    DefaultValue: NotRequired[Any]
    EnumValues: NotRequired[list[str]]


class GivenParameter(TypedDict):
    """A parameter's value that an execution is started with, as text:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Parameter.html."""

    Name: str
    Value: str


class PropertyFileDeclaration(TypedDict):
    """A JSON file in a step's output, whose values later steps may read by ``Std:JsonGet``:
    https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-propertyfile.html."""

    PropertyFileName: str
    OutputName: str
    FilePath: str


class Caching(TypedDict, total=False):
    """A step's CacheConfig: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching.html."""

    Enabled: bool
    ExpireAfter: str


class RetryPolicy(TypedDict):
    """Kinds of failure after which a step is tried again: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html.

    It ends with ``MaxAttempts`` or with ``ExpireAfterMin``, never both.
    """

    ExceptionType: list[str]
    IntervalSeconds: NotRequired[int]
    BackoffRate: NotRequired[float]
    MaxAttempts: NotRequired[int]
    ExpireAfterMin: NotRequired[int]


class ConditionDefinition(TypedDict):
    """One condition of a Condition step; ``Type`` says which of the other members it has.

    Comparisons have ``LeftValue`` and ``RightValue``, In ``QueryValue`` and ``Values``, Or ``Conditions``, Not ``Expression``.
    """

    Type: str
    LeftValue: NotRequired[Value]
    RightValue: NotRequired[Value]
    QueryValue: NotRequired[Value]
    Values: NotRequired[list[Value]]
    Conditions: NotRequired[list[ConditionDefinition]]
    Expression: NotRequired[ConditionDefinition]
    Condition: NotRequired[ConditionDefinition]


class StepDefinition(TypedDict):
    """A step of a definition: https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps.html.

    ``Arguments`` are a job's or a model version's request, a Condition step's ``Conditions``, ``IfSteps`` and ``ElseSteps``, or a
    Fail step's ``ErrorMessage``. ``DependsOn`` names steps, or has them as ``{"Step": name}``.
    """

    Name: str
    Type: str
    Arguments: NotRequired[Request]
    DisplayName: NotRequired[str]
    Description: NotRequired[str]
    DependsOn: NotRequired[list[str | dict[str, str]]]
    PropertyFiles: NotRequired[list[PropertyFileDeclaration]]
    CacheConfig: NotRequired[Caching]
    RetryPolicies: NotRequired[list[RetryPolicy]]


class Definition(TypedDict):
    """A pipeline, as the JSON that CreatePipeline takes: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-overview.html,
    which links to the format's schema."""

    Version: str
    Metadata: NotRequired[dict[str, Any]]
    Parameters: list[ParameterDeclaration]
    PipelineExperimentConfig: NotRequired[dict[str, Any] | None]
    MlflowConfig: NotRequired[dict[str, Any] | None]
    Steps: list[StepDefinition]


class SelectedStep(TypedDict):
    """A step that is to run, by name."""

    StepName: str


class Selection(TypedDict, total=False):
    """A SelectiveExecutionConfig, the only steps that are to run and the execution whose results they build on:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SelectiveExecutionConfig.html."""

    SourcePipelineExecutionArn: str
    SelectedSteps: list[SelectedStep]


class S3Source(TypedDict):
    """Objects that a job reads, an S3DataSource:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html."""

    S3Uri: Value
    S3DataType: str
    S3DataDistributionType: NotRequired[str]


class S3Input(S3Source):
    """Objects that a Processing job reads, and where they lie in its container:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingS3Input.html."""

    LocalPath: str
    S3InputMode: NotRequired[str]


class ProcessingInput(TypedDict):
    """An input of a Processing job: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingInput.html."""

    InputName: str
    S3Input: S3Input


class S3Output(TypedDict):
    """A folder in a Processing job's container, and where it goes in S3:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingS3Output.html."""

    S3Uri: Value
    LocalPath: str
    S3UploadMode: str


class ProcessingOutput(TypedDict):
    """An output of a Processing job: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingOutput.html."""

    OutputName: str
    S3Output: S3Output


class FileSystemSource(TypedDict):
    """A folder of a file system that a Training job mounts, a FileSystemDataSource:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_FileSystemDataSource.html."""

    FileSystemId: str
    FileSystemType: str
    DirectoryPath: str
    FileSystemAccessMode: str


class DataSource(TypedDict, total=False):
    """Where a channel's data lie, one of the two: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DataSource.html."""

    S3DataSource: S3Source
    FileSystemDataSource: FileSystemSource


class Channel(TypedDict):
    """An input of a Training job: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Channel.html."""

    ChannelName: str
    DataSource: DataSource
    InputMode: NotRequired[str]
    CompressionType: NotRequired[str]


class Cluster(TypedDict):
    """A job's instances, a ProcessingClusterConfig or a ResourceConfig:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html."""

    InstanceType: Value
    InstanceCount: Value
    VolumeSizeInGB: int
    VolumeKmsKeyId: NotRequired[str]


class MetricDefinition(TypedDict):
    """A metric that the service reads out of a Training job's log, by a regular expression:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_MetricDefinition.html."""

    Name: str
    Regex: str
