"""The step after Register of every task: what the version says of itself."""

from __future__ import annotations

from pathology.contracts.description.describe import DescribeVersion

from pipelines.graphs.parameters import RunParameters
from steps.environment import Environment, Resources
from steps.jobs import Job, processing
from steps.request import RequestStep


def describe(name: str, env: Environment, run: RunParameters, version: RequestStep, scores: Job, *, resources: Resources) -> Job:
    """The step ``name``, which gives ``version`` its card out of the evaluation of ``scores``. Never cached: each version is another."""
    return processing(
        name,
        env,
        "describe",
        resources,
        inputs={"evaluation": scores["evaluation"]},
        outputs=["description"],
        hyperparameters=run.hyperparameters(DescribeVersion, version=version.properties.ModelPackageArn),
        cached=False,
        description="Writes the version's card, life cycle and source from evaluation.json, and says which version it is the same as.",
    )
