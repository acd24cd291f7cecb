"""The mhist pipeline: annotated patches → a classifier on the encoder → hyperplastic polyp or sessile serrated adenoma."""

from __future__ import annotations

from pathology.contracts.log_lines import CLASSIFIER_METRICS
from pathology.contracts.media import IMAGES
from pathology.contracts.mhist.evaluate import EvaluateMhist
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.contracts.mhist.train import TrainMhist
from pathology.contracts.runs import RUNS

from pipelines.graphs.parameters import RunParameters
from pipelines.graphs.staging import stage
from pipelines.tasks.mhist import MhistTask
from steps.environment import Environment
from steps.gate import quality_gate
from steps.jobs import processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Join, Parameter, Step

AUROC = "binary_classification_metrics.auc.value"


def mhist(task: MhistTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Stage → Train → Evaluate → Check → Register | BelowThreshold."""
    run = RunParameters(task)

    prepared = processing(
        "PrepareMhist",
        env,
        "prepare_mhist",
        task.prepare.resources,
        instance_type=run["PrepareInstanceType"],
        inputs={"annotations": run["AnnotationsUri"], "images": run["ImagesUri"]},
        outputs=["patches", "images"],
        hyperparameters=run.hyperparameters(PrepareMhist, task.prepare.hyperparameters),
        environment={"DATASET_VERSION": run["DatasetVersion"]},
        cached=True,
        description="Checks annotations and every patch; sets a validation split apart from train; writes patches.csv.",
    )
    staged = stage(
        "StageMhist",
        task,
        env,
        run,
        prepared["patches"],
        {"training": task.train.training, "models": task.train.models},
        in_s3=(f"s3://{env.bucket}/{RUNS}", "where PrepareMhist writes"),
        copies="the patches that patches.csv names",
    )
    model = training(
        "TrainMhist",
        env,
        "train_mhist",
        task.train.resources,
        instance_type=run["TrainInstanceType"],
        instance_count=run["TrainInstanceCount"],
        channels={
            "training": Mount(task.train.training) if staged else prepared["images"],
            "models": Mount(task.train.models) if staged else run["EncoderUri"],
            "patches": prepared["patches"],
            # Which of the encoders on EFS to take; and so the encoder is part of the cache key, which EFS is not.
            **({"encoder": Join(on="/", values=[run["EncoderUri"], "encoder.json"])} if staged else {}),
        },
        hyperparameters=run.hyperparameters(TrainMhist, task.train.hyperparameters),
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
        instance_type=run["EvaluateInstanceType"],
        inputs={
            "model": model.artefact,
            "models": run["EncoderUri"],
            "patches": prepared["patches"],
            "images": prepared["images"],
        },
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=run.hyperparameters(EvaluateMhist, task.evaluate.hyperparameters),
        cached=True,
        description="Runs the packaged model on the test patches: evaluation.json, predictions.csv, report.html.",
    )
    version = register(
        "RegisterMhist",
        env,
        task.register_as,
        model,
        scores,
        run["ModelApprovalStatus"],
        {"task": "mhist", "fine-tuning": run["FineTuning"]},
        task.description,
        encoder=run["EncoderUri"],
        accepts=IMAGES,
        sources={"encoder": run["EncoderUri"]},
    )
    gate = quality_gate(
        "CheckMhist",
        "AUROC",
        scores,
        AUROC,
        run["MinAuroc"],
        then=version,
        below="MhistBelowThreshold",
    )

    jobs = [prepared, *([staged] if staged else []), model, scores]
    return run.all(), [*(job.step for job in jobs), gate]
