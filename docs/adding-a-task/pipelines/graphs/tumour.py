"""The tumour pipeline: a table of patches → a classifier on the encoder → normal tissue or tumour."""

from __future__ import annotations

from pathology.contracts.log_lines import CLASSIFIER_METRICS
from pathology.contracts.media import IMAGES
from pathology.contracts.prepared import FILE, PREPARED
from pathology.contracts.tumour.evaluate import EvaluateTumour
from pathology.contracts.tumour.prepare import PrepareTumourJob
from pathology.contracts.tumour.train import TrainTumour

from pipelines.graphs.comparing import compare
from pipelines.graphs.describing import describe
from pipelines.graphs.parameters import RunParameters
from pipelines.graphs.staging import stage
from pipelines.tasks.tumour import TumourTask
from steps.environment import Environment
from steps.gate import quality_gate
from steps.jobs import prepared_root, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Parameter, Step


def tumour(task: TumourTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Stage → Train → Evaluate → Compare → Check → Register → Describe | BelowThreshold."""
    run = RunParameters(task)

    prepared = processing(
        "PrepareTumour",
        env,
        "prepare_tumour",
        task.prepare.resources,
        instance_type=run["PrepareInstanceType"],
        inputs={},
        outputs=[PREPARED],
        report=(PREPARED, FILE),
        hyperparameters=run.hyperparameters(
            PrepareTumourJob,
            task.prepare.hyperparameters,
            table=run["TableUri"],
            images=run["ImagesUri"],
            encoder=run["EncoderUri"],
            prepared=prepared_root(env, "tumour"),
        ),
        cached=False,
        description="Checks the table and every patch; sets a validation split apart from train; writes patches.csv.",
    )
    handed = {name: prepared.value(f"{name}.uri") for name in ("images", "patches", "staging", "encoder", "models")}
    staged = stage(
        "StageTumour",
        task,
        env,
        run,
        handed["staging"],
        handed["encoder"],
        {"training": task.train.training, "models": task.train.models},
        in_s3=(prepared_root(env, "tumour"), "where PrepareTumour writes"),
        copies="the patches that patches.csv names",
    )
    model = training(
        "TrainTumour",
        env,
        "train_tumour",
        task.train.resources,
        instance_type=run["TrainInstanceType"],
        instance_count=run["TrainInstanceCount"],
        channels={
            "training": Mount(task.train.training) if staged else handed["images"],
            "models": Mount(task.train.models) if staged else handed["models"],
            "patches": handed["patches"],
            "encoder": handed["encoder"],
        },
        hyperparameters=run.hyperparameters(TrainTumour, task.train.hyperparameters),
        metrics=CLASSIFIER_METRICS,
        distributed=True,
        cached=True,
        after=[staged] if staged else [],
        description="A patch classifier on the encoder.",
    )
    scores = processing(
        "EvaluateTumour",
        env,
        "evaluate_tumour",
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
        hyperparameters=run.hyperparameters(EvaluateTumour, task.evaluate.hyperparameters),
        cached=True,
        description="Runs the packaged model on the test patches: evaluation.json, predictions.csv, report.html.",
    )
    verdict = compare(
        "CompareTumour",
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
        "RegisterTumour",
        env,
        task.register_as,
        model,
        scores,
        {"task": "tumour", "fine-tuning": run["FineTuning"]},
        task.description,
        gate=verdict.value("gate"),
        looks=verdict.value("looks_text"),
        encoder=run["EncoderUri"],
        accepts=IMAGES,
    )
    described = describe("DescribeTumour", env, run, version, scores, resources=task.describe.resources)
    gate = quality_gate("CheckTumour", verdict, scores, then=[version, described.step], below="TumourBelowThreshold")

    jobs = [prepared, *([staged] if staged else []), model, scores, verdict]
    return run.all(), [*(job.step for job in jobs), gate]
