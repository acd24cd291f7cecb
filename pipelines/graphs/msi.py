"""The msi pipeline: whole slides → features → attention MIL → microsatellite status per patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pathology.contracts.errors import RequestError
from pathology.contracts.extraction.collect import CollectFeaturesJob
from pathology.contracts.extraction.extract import ExtractFeaturesJob
from pathology.contracts.log_lines import CLASSIFIER_METRICS, SLIDE_METRIC
from pathology.contracts.media import ATTENTION
from pathology.contracts.msi.evaluate import EvaluateMsi
from pathology.contracts.msi.prepare import PrepareMsiJob
from pathology.contracts.msi.train import TrainMsi
from pathology.contracts.prepared import FILE, PREPARED

from pipelines.graphs.comparing import compare
from pipelines.graphs.describing import describe
from pipelines.graphs.parameters import RunParameters
from pipelines.graphs.staging import stage
from pipelines.tasks.msi import MsiTask
from steps.environment import Environment
from steps.gate import quality_gate
from steps.jobs import Job, prepared_root, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Parameter, Step


def msi(task: MsiTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Extract → Collect → Stage → Train → Evaluate → Compare → Check → Register → Describe | BelowThreshold."""
    run = RunParameters(task)

    cohort = processing(
        "PrepareMsi",
        env,
        "prepare_msi",
        task.prepare.resources,
        instance_type=run["PrepareInstanceType"],
        inputs={},
        outputs=[PREPARED],
        report=(PREPARED, FILE),
        hyperparameters=run.hyperparameters(
            PrepareMsiJob,
            task.prepare.hyperparameters,
            labels=run["LabelsUri"],
            slides=run["SlidesUri"],
            manifest=run["ManifestUri"],
            earlier_cohort=run["EarlierCohortUri"],
            encoder=run["EncoderUri"],
            prepared=prepared_root(env, "msi"),
        ),
        cached=False,
        description="Joins slides and labels; splits by patient; hands on the cohort and the slides to extract, named by their content.",
    )
    handed = {name: cohort.value(f"{name}.uri") for name in ("cohort", "slides_to_extract", "flow", "encoder", "models")}
    features = _extract(task, env, run, handed)
    slides = processing(
        "CollectFeatures",
        env,
        "collect_features",
        task.collect.resources,
        inputs={name: handed[name] for name in ("cohort", "slides_to_extract", "flow", "encoder")},
        outputs=["slides"],
        report=("slides", "collected.json"),
        hyperparameters=run.hyperparameters(
            CollectFeaturesJob,
            task.extract.hyperparameters,
            task.collect.hyperparameters,
            features=run["FeaturesUri"],
        ),
        cached=False,
        after=[features],
        description="Verifies every feature file and writes slides.csv, named by its content.",
    )
    slides_csv = slides.value("slides.uri")
    staged = stage(
        "StageFeatures",
        task,
        env,
        run,
        slides.value("staging.uri"),
        handed["encoder"],
        {"features": task.train.features, "models": task.train.models},
        in_s3=(task.extract.features, "what extraction wrote"),
        copies="the features that slides.csv names",
    )
    model = training(
        "TrainMsi",
        env,
        "train_msi_tcga",
        task.train.resources,
        instance_type=run["TrainInstanceType"],
        channels={
            "training": Mount(task.train.features) if staged else slides.value("features.uri"),
            "models": Mount(task.train.models) if staged else handed["models"],
            "encoder": handed["encoder"],
            "slides": slides_csv,
            "splits": handed["cohort"],
        },
        streamed=() if staged else ("training", "models"),
        hyperparameters=run.hyperparameters(TrainMsi, task.train.hyperparameters),
        metrics=CLASSIFIER_METRICS,
        cached=True,
        after=[staged] if staged else [],
        description="Gated attention MIL, cross-validated; the folds' models are kept as an ensemble.",
    )
    scores = processing(
        "EvaluateMsi",
        env,
        "evaluate_msi",
        task.evaluate.resources,
        instance_type=run["EvaluateInstanceType"],
        inputs={"model": model.artefact, "slides": slides_csv, **{name: handed[name] for name in ("cohort", "flow", "encoder")}},
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=run.hyperparameters(EvaluateMsi, task.evaluate.hyperparameters),
        cached=True,
        description="Runs the packaged model on the test patients: evaluation.json, predictions.csv, report.html.",
    )
    verdict = compare(
        "CompareMsi",
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
        "RegisterMsi",
        env,
        task.register_as,
        model,
        scores,
        {"task": "msi"},
        task.description,
        gate=verdict.value("gate"),
        looks=verdict.value("looks_text"),
        encoder=run["EncoderUri"],
        facts=("labels", "tile", "features", "aggregation"),
        answers=ATTENTION,
    )
    described = describe("DescribeMsi", env, run, version, scores, resources=task.describe.resources)
    gate = quality_gate(
        "CheckMsi",
        verdict,
        scores,
        then=[version, described.step],
        below="MsiBelowThreshold",
    )

    jobs = [cohort, features, slides, *([staged] if staged else []), model, scores, verdict]
    return run.all(), [*(job.step for job in jobs), gate]


def _extract(task: MsiTask, env: Environment, run: RunParameters, handed: Mapping[str, Any]) -> Job:
    """ExtractFeatures as a Processing job, or as a Training job that can mount EFS; features go to S3 either way."""
    inputs = {name: handed[name] for name in ("slides_to_extract", "encoder", "models")}
    description = "Tiles and embeds every slide of the cohort on a GPU; finished slides are skipped."
    hyperparameters = run.hyperparameters(ExtractFeaturesJob, task.extract.hyperparameters, features=run["FeaturesUri"])
    on_efs = task.dataset.slides.startswith("efs://")
    if on_efs and task.dataset.manifest is None:
        raise RequestError(f"dataset.slides: {task.dataset.slides}: a manifest is needed, since PrepareMsi cannot list EFS")
    if task.extract.run_as == "training":
        return training(
            "ExtractFeatures",
            env,
            "extract_features",
            task.extract.resources,
            image=env.images.cucim_tiler,
            instance_type=run["ExtractInstanceType"],
            instance_count=run["ExtractInstanceCount"],
            channels={**inputs, **({"slides": Mount(task.dataset.slides)} if on_efs else {})},
            hyperparameters=hyperparameters,
            metrics=[SLIDE_METRIC],
            cached=True,
            description=description,
        )
    if on_efs:
        raise RequestError(
            f"dataset.slides: {task.dataset.slides}: ExtractFeatures runs as a Processing job, which cannot mount EFS; "
            "set extract.run-as: training, or keep the slides in S3"
        )
    return processing(
        "ExtractFeatures",
        env,
        "extract_features",
        task.extract.resources,
        image=env.images.cucim_tiler,
        instance_type=run["ExtractInstanceType"],
        instance_count=run["ExtractInstanceCount"],
        inputs=inputs,
        hyperparameters=hyperparameters,
        cached=True,
        description=description,
    )
