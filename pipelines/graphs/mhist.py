"""The mhist pipeline: annotated patches → a classifier on the encoder → hyperplastic polyp or sessile serrated adenoma."""

from __future__ import annotations

from pathology.contracts.log_lines import CLASSIFIER_METRICS
from pathology.contracts.media import IMAGES

from pipelines.graphs.mhist_parameters import MhistParameters
from pipelines.graphs.workbench import trains_on_efs
from pipelines.tasks.mhist import MhistTask
from steps.environment import Environment
from steps.gate import fail, quality_gate
from steps.jobs import RUNS, Job, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Join, Parameter, Step

AUROC = "binary_classification_metrics.auc.value"


def mhist(task: MhistTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Stage → Train → Evaluate → Check → Register | BelowThreshold."""
    run = MhistParameters.from_task(task)

    prepared = processing(
        "PrepareMhist",
        env,
        "prepare_mhist",
        task.prepare.resources,
        instance_type=run.prepare_instance,
        inputs={"annotations": run.annotations, "images": run.images},
        outputs=["patches", "images"],
        hyperparameters=run.preparation,
        environment={"DATASET_VERSION": run.dataset_version},
        cached=True,
        description="Checks annotations and every patch; sets a validation split apart from train; writes patches.csv.",
    )
    staged = _stage(task, env, run, prepared)
    model = training(
        "TrainMhist",
        env,
        "train_mhist",
        task.train.resources,
        instance_type=run.train_instance,
        instance_count=run.train_hosts,
        channels={
            "training": Mount(task.train.training) if staged else prepared["images"],
            "models": Mount(task.train.models) if staged else run.encoder,
            "patches": prepared["patches"],
            # Which of the encoders on EFS to take; and so the encoder is part of the cache key, which EFS is not.
            **({"encoder": Join(on="/", values=[run.encoder, "encoder.json"])} if staged else {}),
        },
        hyperparameters=run.training,
        metrics=CLASSIFIER_METRICS,
        distributed=True,
        cached=True,
        after=[staged] if staged else [],
        description="A patch classifier on the encoder: a linear probe, LoRA, the last blocks, or all of it.",
    )
    scores = processing(
        "EvaluateMhist",
        env,
        "evaluate_mhist",
        task.evaluate.resources,
        instance_type=run.evaluate_instance,
        inputs={
            "model": model.artefact,
            "models": run.encoder,
            "patches": prepared["patches"],
            "images": prepared["images"],
        },
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=task.evaluate_settings.given(),
        cached=True,
        description="Runs the packaged model on the test patches: evaluation.json, predictions.csv, report.html.",
    )
    version = register(
        "RegisterMhist",
        env,
        task.register_as,
        model,
        scores,
        run.approval,
        {"task": "mhist", "encoder": run.encoder, "tune": run.tune, "labels": "SSA:HP"},
        task.description,
        accepts=IMAGES,
        sources={"encoder": run.encoder},
    )
    gate = quality_gate(
        "CheckMhist",
        scores,
        AUROC,
        run.min_auroc,
        then=version,
        otherwise=fail("MhistBelowThreshold", "AUROC", scores, AUROC, run.min_auroc),
    )

    jobs = [prepared, *([staged] if staged else []), model, scores]
    return run.all(), [*(job.step for job in jobs), gate]


def _stage(task: MhistTask, env: Environment, run: MhistParameters, prepared: Job) -> Job | None:
    """StageMhist, where training reads EFS."""
    own = {"training": task.train.training, "models": task.train.models}
    written = (f"s3://{env.bucket}/{RUNS}", "where PrepareMhist writes")
    if not trains_on_efs(task, "StageMhist", own, {"training": written, "models": (task.encoder.weights, "the encoder")}):
        return None
    assert task.stage is not None
    return training(
        "StageMhist",
        env,
        "stage_mhist",
        task.stage.resources,
        channels={
            "patches": prepared["patches"],
            "datasets_destination": Mount(task.train.training, "rw"),
            "models_destination": Mount(task.train.models, "rw"),
        },
        hyperparameters={"images": prepared["images"], "encoder": run.encoder},
        cached=False,
        description="Copies what changed from S3 to EFS: the patches that patches.csv names, and the encoder.",
    )
