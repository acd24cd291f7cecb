"""The lizard pipeline: annotated nuclei → a decoder on the encoder → every nucleus found, outlined and typed."""

from __future__ import annotations

from pathology.contracts.lizard.evaluate import EvaluateLizard
from pathology.contracts.lizard.prepare import PrepareLizardJob
from pathology.contracts.lizard.train import TrainLizard
from pathology.contracts.log_lines import NUCLEI_METRICS
from pathology.contracts.media import IMAGES, NUCLEI
from pathology.contracts.prepared import FILE, PREPARED

from pipelines.graphs.comparing import compare
from pipelines.graphs.describing import describe
from pipelines.graphs.parameters import RunParameters
from pipelines.graphs.staging import stage
from pipelines.tasks.lizard import LizardTask
from steps.environment import Environment
from steps.gate import quality_gate
from steps.jobs import prepared_root, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Parameter, Step


def lizard(task: LizardTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Stage → Train → Evaluate → Compare → Check → Register → Describe | BelowThreshold."""
    run = RunParameters(task)

    prepared = processing(
        "PrepareLizard",
        env,
        "prepare_lizard",
        task.prepare.resources,
        instance_type=run["PrepareInstanceType"],
        inputs={},
        outputs=[PREPARED],
        report=(PREPARED, FILE),
        hyperparameters=run.hyperparameters(
            PrepareLizardJob,
            task.prepare.hyperparameters,
            dataset=run["DatasetUri"],
            encoder=run["EncoderUri"],
            prepared=prepared_root(env, "lizard"),
        ),
        cached=False,
        description="Checks every patch and its nuclei; splits by source image; writes patches.csv with the arrays' hashes.",
    )
    handed = {name: prepared.value(f"{name}.uri") for name in ("dataset", "patches", "staging", "encoder", "models")}
    staged = stage(
        "StageLizard",
        task,
        env,
        run,
        handed["staging"],
        handed["encoder"],
        {"training": task.train.training, "models": task.train.models},
        in_s3=(task.dataset.arrays, "the dataset"),
        copies="the arrays that PrepareLizard proved",
    )
    model = training(
        "TrainLizard",
        env,
        "train_lizard",
        task.train.resources,
        instance_type=run["TrainInstanceType"],
        instance_count=run["TrainInstanceCount"],
        channels={
            "training": Mount(task.train.training) if staged else handed["dataset"],
            "models": Mount(task.train.models) if staged else handed["models"],
            "patches": handed["patches"],
            # Which of the encoders on EFS to take; and so the encoder is part of the cache key, which EFS is not.
            "encoder": handed["encoder"],
        },
        hyperparameters=run.hyperparameters(TrainLizard, task.train.hyperparameters),
        metrics=NUCLEI_METRICS,
        cached=True,
        distributed=True,
        after=[staged] if staged else [],
        description="A U-shaped decoder on four depths of the encoder: nuclei, their distance maps, their classes.",
    )
    scores = processing(
        "EvaluateLizard",
        env,
        "evaluate_lizard",
        task.evaluate.resources,
        instance_type=run["EvaluateInstanceType"],
        inputs={
            "model": model.artefact,
            "models": handed["models"],
            "encoder": handed["encoder"],
            "patches": handed["patches"],
            "dataset": handed["dataset"],
        },
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=run.hyperparameters(EvaluateLizard, task.evaluate.hyperparameters),
        cached=True,
        description="Runs the packaged model on the test patches: evaluation.json, predictions.csv, report.html.",
    )
    verdict = compare(
        "CompareLizard",
        task,
        env,
        run,
        scores,
        resources=task.compare.resources,
        evaluate=task.evaluate.resources,
        gate=task.gate,
        threshold="MinBpq",
    )
    version = register(
        "RegisterLizard",
        env,
        task.register_as,
        model,
        scores,
        {"task": "lizard", "fine-tuning": run["FineTuning"]},
        task.description,
        gate=verdict.value("gate"),
        looks=verdict.value("looks_text"),
        encoder=run["EncoderUri"],
        accepts=IMAGES,
        answers=NUCLEI,
    )
    described = describe("DescribeLizard", env, run, version, scores, resources=task.describe.resources)
    gate = quality_gate(
        "CheckLizard",
        verdict,
        scores,
        then=[version, described.step],
        below="LizardBelowThreshold",
    )

    jobs = [prepared, *([staged] if staged else []), model, scores, verdict]
    return run.all(), [*(job.step for job in jobs), gate]
