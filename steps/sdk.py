"""The SageMaker SDK's names that graphs are made of, imported so that the import itself touches nothing.

Importing ``sagemaker.mlops`` creates a boto3 client: it fails without a region, and without credentials it asks the instance
metadata service. It also sets up the root logger. All of that is settled here, for the time of the import alone; every other
module takes the names from here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

_QUIET = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def _quiet_import() -> Iterator[None]:
    missing = {name: value for name, value in _QUIET.items() if name not in os.environ}
    os.environ.update(missing)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in missing:
            del os.environ[name]


with _quiet_import():
    from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
    from sagemaker.core.workflow.execution_variables import ExecutionVariables
    from sagemaker.core.workflow.functions import Join, JsonGet
    from sagemaker.core.workflow.parameters import Parameter, ParameterFloat, ParameterInteger, ParameterString
    from sagemaker.core.workflow.properties import Properties, PropertyFile
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep
    from sagemaker.mlops.workflow.pipeline import Pipeline
    from sagemaker.mlops.workflow.retry import (
        SageMakerJobExceptionTypeEnum,
        SageMakerJobStepRetryPolicy,
        StepExceptionTypeEnum,
        StepRetryPolicy,
    )
    from sagemaker.mlops.workflow.steps import CacheConfig, ConfigurableRetryStep, Step, StepTypeEnum

__all__ = [
    "CacheConfig",
    "ConditionGreaterThanOrEqualTo",
    "ConditionStep",
    "ConfigurableRetryStep",
    "ExecutionVariables",
    "FailStep",
    "Join",
    "JsonGet",
    "Parameter",
    "ParameterFloat",
    "ParameterInteger",
    "ParameterString",
    "Pipeline",
    "Properties",
    "PropertyFile",
    "SageMakerJobExceptionTypeEnum",
    "SageMakerJobStepRetryPolicy",
    "Step",
    "StepExceptionTypeEnum",
    "StepRetryPolicy",
    "StepTypeEnum",
]
