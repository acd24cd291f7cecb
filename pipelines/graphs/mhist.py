"""The mhist pipeline: annotated patches → a classifier on the encoder → hyperplastic polyp or sessile serrated adenoma."""

from __future__ import annotations

from pathology.contracts.log_lines import CLASSIFIER_METRICS
from pathology.contracts.media import IMAGES
from pathology.contracts.mhist.evaluate import EvaluateMhist
from pathology.contracts.mhist.prepare import PrepareMhistJob
from pathology.contracts.mhist.train import TrainMhist
from pathology.contracts.prepared import FILE, PREPARED

from pipelines.graphs.comparing import compare
from pipelines.graphs.describing import describe
from pipelines.graphs.parameters import RunParameters
from pipelines.graphs.staging import stage
from pipelines.tasks.mhist import MhistTask
from steps.environment import Environment
from steps.gate import quality_gate
from steps.jobs import prepared_root, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Parameter, Step


def mhist(task: MhistTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Stage → Train → Evaluate → Compare → Check → Register → Describe | BelowThreshold."""
    run = RunParameters(task)

    prepared = processing(
        "PrepareMhist",
        env,
        "prepare_mhist",
        task.prepare.resources,
        instance_type=run["PrepareInstanceType"],
        inputs={},
        outputs=[PREPARED],
        report=(PREPARED, FILE),
        hyperparameters=run.hyperparameters(
            PrepareMhistJob,
            task.prepare.hyperparameters,
            annotations=run["AnnotationsUri"],
            images=run["ImagesUri"],
            encoder=run["EncoderUri"],
            prepared=prepared_root(env, "mhist"),
        ),
        cached=False,
        description="Checks annotations and every patch; sets a validation split apart from train; writes patches.csv.",
    )
    handed = {name: prepared.value(f"{name}.uri") for name in ("images", "patches", "staging", "encoder", "models")}
    staged = stage(
        "StageMhist",
        task,
        env,
        run,
        handed["staging"],
        handed["encoder"],
        {"training": task.train.training, "models": task.train.models},
        in_s3=(prepared_root(env, "mhist"), "where PrepareMhist writes"),
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
            "training": Mount(task.train.training) if staged else handed["images"],
            "models": Mount(task.train.models) if staged else handed["models"],
            "patches": handed["patches"],
            # Which of the encoders on EFS to take; and so the encoder is part of the cache key, which EFS is not.
            "encoder": handed["encoder"],
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
            "models": handed["models"],
            "encoder": handed["encoder"],
            "patches": handed["patches"],
            "images": handed["images"],
        },
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=run.hyperparameters(EvaluateMhist, task.evaluate.hyperparameters),
        cached=True,
        description="Runs the packaged model on the test patches: evaluation.json, predictions.csv, report.html.",
    )
    verdict = compare(
        "CompareMhist",
        task,
        env,
        run,
        scores,
        resources=task.compare.resources,
        evaluate=task.evaluate.resources,
        gate=task.gate,
        threshold="MinAuroc",
    )
    version = register(
        "RegisterMhist",
        env,
        task.register_as,
        model,
        scores,
        {"task": "mhist", "fine-tuning": run["FineTuning"]},
        task.description,
        gate=verdict.value("gate"),
        looks=verdict.value("looks_text"),
        encoder=run["EncoderUri"],
        accepts=IMAGES,
    )
    described = describe("DescribeMhist", env, run, version, scores, resources=task.describe.resources)
    gate = quality_gate(
        "CheckMhist",
        verdict,
        scores,
        then=[version, described.step],
        below="MhistBelowThreshold",
    )

    jobs = [prepared, *([staged] if staged else []), model, scores, verdict]
    return run.all(), [*(job.step for job in jobs), gate]
