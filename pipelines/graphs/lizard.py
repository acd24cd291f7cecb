"""The lizard pipeline: annotated nuclei → a decoder on the encoder → every nucleus found, outlined and typed."""

from __future__ import annotations

from pathology.contracts.log_lines import NUCLEI_METRICS
from pathology.contracts.media import IMAGES, NUCLEI

from pipelines.graphs.lizard_parameters import LizardParameters
from pipelines.graphs.workbench import trains_on_efs
from pipelines.tasks.lizard import LizardTask
from steps.environment import Environment
from steps.gate import fail, quality_gate
from steps.jobs import Job, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Join, Parameter, Step

BPQ = "pathology.intervals.bpq.value"


def lizard(task: LizardTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Stage → Train → Evaluate → Check → Register | BelowThreshold."""
    run = LizardParameters.from_task(task)

    prepared = processing(
        "PrepareLizard",
        env,
        "prepare_lizard",
        task.prepare.resources,
        instance_type=run.prepare_instance,
        inputs={"dataset": run.dataset},
        outputs=["patches"],
        hyperparameters=run.preparation,
        environment={"DATASET_VERSION": run.dataset_version},
        cached=True,
        description="Checks every patch and its nuclei; splits by source image; writes patches.csv with the arrays' hashes.",
    )
    staged = _stage(task, env, run, prepared)
    model = training(
        "TrainLizard",
        env,
        "train_lizard",
        task.train.resources,
        instance_type=run.train_instance,
        instance_count=run.train_hosts,
        channels={
            "training": Mount(task.train.training) if staged else run.dataset,
            "models": Mount(task.train.models) if staged else run.encoder,
            "patches": prepared["patches"],
            # Which of the encoders on EFS to take; and so the encoder is part of the cache key, which EFS is not.
            **({"encoder": Join(on="/", values=[run.encoder, "encoder.json"])} if staged else {}),
        },
        hyperparameters=run.training,
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
        instance_type=run.evaluate_instance,
        inputs={
            "model": model.artefact,
            "models": run.encoder,
            "patches": prepared["patches"],
            "dataset": run.dataset,
        },
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=task.evaluate_settings.given(),
        cached=True,
        description="Runs the packaged model on the test patches: evaluation.json, predictions.csv, report.html.",
    )
    version = register(
        "RegisterLizard",
        env,
        task.register_as,
        model,
        scores,
        run.approval,
        {"task": "lizard", "encoder": run.encoder, "tuned": run.tuned, "labels": run.classes},
        task.description,
        accepts=IMAGES,
        answers=NUCLEI,
        sources={"encoder": run.encoder},
    )
    gate = quality_gate(
        "CheckLizard",
        scores,
        BPQ,
        run.min_bpq,
        then=version,
        otherwise=fail("LizardBelowThreshold", "bPQ", scores, BPQ, run.min_bpq),
    )

    jobs = [prepared, *([staged] if staged else []), model, scores]
    return run.all(), [*(job.step for job in jobs), gate]


def _stage(task: LizardTask, env: Environment, run: LizardParameters, prepared: Job) -> Job | None:
    """StageLizard, where training reads EFS."""
    own = {"training": task.train.training, "models": task.train.models}
    in_s3 = {"training": (task.dataset.arrays, "the dataset"), "models": (task.encoder.weights, "the encoder")}
    if not trains_on_efs(task, "StageLizard", own, in_s3):
        return None
    assert task.stage is not None
    return training(
        "StageLizard",
        env,
        "stage_lizard",
        task.stage.resources,
        channels={
            "patches": prepared["patches"],
            "datasets_destination": Mount(task.train.training, "rw"),
            "models_destination": Mount(task.train.models, "rw"),
        },
        hyperparameters={"dataset": run.dataset, "encoder": run.encoder},
        cached=False,
        description="Copies what changed from S3 to EFS: the arrays that PrepareLizard proved, and the encoder.",
    )
