"""The step between Evaluate and Check of every task: the candidate against its threshold and the approved version."""

from __future__ import annotations

from pathology.contracts.comparison.file import COMPARISON, LEDGER
from pathology.contracts.comparison.gate import BinaryGateRule, CompareJob, GateRule

from pipelines.graphs.parameters import RunParameters
from pipelines.tasks.sections import Task
from steps.environment import Environment, Resources
from steps.jobs import Job, processing


def compare(
    name: str,
    task: Task,
    env: Environment,
    run: RunParameters,
    scores: Job,
    *,
    resources: Resources | None,
    evaluate: Resources,
    gate: GateRule,
    threshold: str,
) -> Job:
    """Compare, by the command ``compare_<task>``; ``threshold`` is the parameter that ``gate`` has it in. Without ``resources`` of
    its own it runs on those of ``evaluate``, as a run chooses them. Never cached, since what is approved changes."""
    kind = scores.command.removeprefix("evaluate_")
    runs_on = resources or evaluate
    return processing(
        name,
        env,
        f"compare_{kind}",
        runs_on,
        instance_type=None if resources else run["EvaluateInstanceType"],
        inputs={"evaluation": scores["evaluation"]},
        outputs=["comparison"],
        report=("comparison", COMPARISON),
        hyperparameters=run.hyperparameters(
            CompareJob,
            gate,
            threshold=run[threshold],
            group=task.register_as.group,
            ledger=f"s3://{env.bucket}/{LEDGER}/{kind}",
            max_minutes=runs_on.max_runtime_minutes,
            **({} if isinstance(gate, BinaryGateRule) else {"min_specificity": 0.0}),  # without two classes there is none
        ),
        cached=False,
        description="Holds the scores against the threshold and the approved version; counts the looks at this test set.",
    )
