"""The card of a model package, as the service's schema has it, with the lengths and numbers that it documents.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema. It is a model card's schema
without ``model_package_details``, and with an overview of two members.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pathology.contracts.strict_json import StrictJson

SHORT, LONG, OBSERVATION = 1024, 2048, 2096
NAME, MEASURE = 63, 255
MAX_DATASETS, MAX_TRAINING_DATASETS, MAX_HYPERPARAMETERS = 10, 15, 100
MAX_CONTENT = 100_000
"""Characters of the whole card."""

Short = Annotated[str, Field(max_length=SHORT)]
Long = Annotated[str, Field(max_length=LONG)]
Name = Annotated[str, Field(pattern=rf"\A.{{1,{NAME}}}\z")]
Measure = Annotated[str, Field(pattern=rf"\A.{{1,{MEASURE}}}\z")]
ShortList = Annotated[list[Short], Field(max_length=15)]


class Overview(StrictJson):
    """Who made the model, and where it lies."""

    model_creator: Short | None = None
    model_artifact: ShortList | None = None


class IntendedUses(StrictJson):
    """What the model is for."""

    purpose_of_model: Long | None = None
    intended_uses: Long | None = None
    factors_affecting_model_efficiency: Long | None = None
    risk_rating: Literal["High", "Medium", "Low", "Unknown"] | None = None
    explanations_for_risk_rating: Long | None = None


class BusinessDetails(StrictJson):
    """Nothing that an evaluation knows; people may add it."""

    business_problem: Long | None = None
    business_stakeholders: Long | None = None
    line_of_business: Long | None = None


class TrainingMetric(StrictJson):
    """A number that training reached."""

    name: Measure
    notes: Short | None = None
    value: float


class HyperParameter(StrictJson):
    """A setting of training."""

    name: Measure
    value: Measure


class TrainingEnvironment(StrictJson):
    """The image that trained."""

    container_image: ShortList | None = None


class TrainingJob(StrictJson):
    """What the model was trained on, and how."""

    training_arn: Short | None = None
    training_datasets: Annotated[list[Short], Field(max_length=MAX_TRAINING_DATASETS)] | None = None
    training_environment: TrainingEnvironment | None = None
    training_metrics: Annotated[list[TrainingMetric], Field(max_length=50)] | None = None
    user_provided_training_metrics: Annotated[list[TrainingMetric], Field(max_length=50)] | None = None
    hyper_parameters: Annotated[list[HyperParameter], Field(max_length=MAX_HYPERPARAMETERS)] | None = None
    user_provided_hyper_parameters: Annotated[list[HyperParameter], Field(max_length=MAX_HYPERPARAMETERS)] | None = None


class TrainingDetails(StrictJson):
    """How the model was trained. ``objective_function`` has members that nothing here writes."""

    objective_function: dict[str, Any] | None = None
    training_observations: Short | None = None
    training_job_details: TrainingJob | None = None


class SimpleMetric(StrictJson):
    """A value."""

    name: Measure
    notes: Short | None = None
    type: Literal["number", "string", "boolean"]
    value: float | str | bool


class GraphMetric(StrictJson):
    """A curve, bars or a matrix."""

    name: Measure
    notes: Short | None = None
    type: Literal["linear_graph", "bar_chart", "matrix"]
    value: list[Any]
    x_axis_name: str | list[str] | None = None
    y_axis_name: str | list[str] | None = None


class MetricGroup(StrictJson):
    """Measures that belong together."""

    name: Name
    metric_data: list[SimpleMetric | GraphMetric]


class EvaluationDetails(StrictJson):
    """An evaluation: on what, and what came of it."""

    name: Name
    evaluation_observation: Annotated[str, Field(max_length=OBSERVATION)] | None = None
    evaluation_job_arn: Annotated[str, Field(max_length=256)] | None = None
    datasets: Annotated[list[Short], Field(max_length=MAX_DATASETS)] | None = None
    metadata: dict[str, Short] | None = None
    metric_groups: list[MetricGroup] = Field(default_factory=list)


class AdditionalInformation(StrictJson):
    """Caveats, and whatever has no place elsewhere, by name."""

    ethical_considerations: Long | None = None
    caveats_and_recommendations: Long | None = None
    custom_details: dict[str, Short] | None = None


class ModelCard(StrictJson):
    """The whole card."""

    model_overview: Overview | None = None
    intended_uses: IntendedUses | None = None
    business_details: BusinessDetails | None = None
    training_details: TrainingDetails | None = None
    evaluation_details: list[EvaluationDetails] = Field(default_factory=list)
    additional_information: AdditionalInformation | None = None

    def content(self) -> str:
        """One line of JSON, as UpdateModelPackage takes it: its pattern has no line break."""
        return self.model_dump_json(exclude_none=True)
