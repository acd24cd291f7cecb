"""The msi pipeline: whole slides → features → attention MIL → microsatellite status per patient."""

from __future__ import annotations

from pathology.contracts.errors import RequestError
from pathology.contracts.log_lines import CLASSIFIER_METRICS, SLIDE_METRIC

from pipelines.graphs.msi_parameters import MsiParameters
from pipelines.graphs.workbench import trains_on_efs
from pipelines.tasks.msi import MsiTask
from steps.environment import Environment
from steps.gate import fail, quality_gate
from steps.jobs import Job, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Parameter, Step

AUROC = "binary_classification_metrics.auc.value"


def msi(task: MsiTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Extract → Collect → Stage → Train → Evaluate → Check → Register | BelowThreshold."""
    run = MsiParameters.from_task(task)

    cohort = processing(
        "PrepareMsi",
        env,
        "prepare_msi",
        task.prepare.resources,
        instance_type=run.prepare_instance,
        inputs={"labels": run.labels},
        outputs=["cohort"],
        hyperparameters=run.preparation,
        environment={"DATASET_VERSION": run.dataset_version},
        cached=True,
        description="Joins slides and labels into cohort.csv; splits by patient.",
    )
    features = _extract(task, env, run, cohort)
    slides = processing(
        "CollectFeatures",
        env,
        "collect_features",
        task.collect.resources,
        inputs={"cohort": cohort["cohort"]},
        outputs=["slides"],
        report=("slides", "collected.json"),
        hyperparameters=run.collection,
        cached=False,
        after=[features],
        description="Verifies every feature file and writes slides.csv, named by its content.",
    )
    slides_csv = slides.value("slides.uri")
    staged = _stage(task, env, run, slides_csv)
    model = training(
        "TrainMsi",
        env,
        "train_msi_tcga",
        task.train.resources,
        instance_type=run.train_instance,
        channels={
            "training": Mount(task.train.features) if staged else run.features,
            "models": Mount(task.train.models) if staged else run.encoder,
            "slides": slides_csv,
            "splits": cohort["cohort"],
        },
        streamed=() if staged else ("training", "models"),
        hyperparameters=run.training,
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
        instance_type=run.evaluate_instance,
        inputs={"model": model.artefact, "slides": slides_csv, "cohort": cohort["cohort"]},
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=task.evaluate_settings.given(),
        cached=True,
        description="Runs the packaged model on the test patients: evaluation.json, predictions.csv, report.html.",
    )
    gate = quality_gate(
        "CheckMsi",
        scores,
        AUROC,
        run.min_auroc,
        then=register("RegisterMsi", env, task.register_as, model, scores, run.approval, _metadata(task), task.description),
        otherwise=fail("MsiBelowThreshold", "AUROC", scores, AUROC, run.min_auroc),
    )

    jobs = [cohort, features, slides, *([staged] if staged else []), model, scores]
    return run.all(), [*(job.step for job in jobs), gate]


def _extract(task: MsiTask, env: Environment, run: MsiParameters, cohort: Job) -> Job:
    """ExtractFeatures as a Processing job, or as a Training job that can mount EFS; features go to S3 either way."""
    inputs = {"cohort": cohort["cohort"], "models": run.encoder}
    description = "Tiles and embeds every slide of the cohort on a GPU; finished slides are skipped."
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
            instance_type=run.extract_instance,
            instance_count=run.extract_hosts,
            channels={**inputs, **({"slides": Mount(task.dataset.slides)} if on_efs else {})},
            hyperparameters=run.extraction,
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
        instance_type=run.extract_instance,
        instance_count=run.extract_hosts,
        inputs=inputs,
        hyperparameters=run.extraction,
        cached=True,
        description=description,
    )


def _stage(task: MsiTask, env: Environment, run: MsiParameters, slides_csv: object) -> Job | None:
    """StageFeatures, where training reads EFS."""
    own = {"features": task.train.features, "models": task.train.models}
    in_s3 = {"features": (task.extract.features, "what extraction wrote"), "models": (task.encoder.weights, "the encoder")}
    if not trains_on_efs(task, "StageFeatures", own, in_s3):
        return None
    assert task.stage is not None
    return training(
        "StageFeatures",
        env,
        "stage",
        task.stage.resources,
        channels={
            "slides": slides_csv,
            "features_destination": Mount(task.train.features, "rw"),
            "models_destination": Mount(task.train.models, "rw"),
        },
        hyperparameters={"encoder": run.encoder},
        cached=False,
        description="Copies what changed from S3 to EFS: the features that slides.csv names, and the encoder.",
    )


def _metadata(task: MsiTask) -> dict[str, str]:
    """What is known of a version when the pipeline is built."""
    extract = task.extract_settings
    return {
        "task": "msi",
        "encoder": task.encoder.weights,
        "labels": f"{'+'.join(task.prepare_settings.positive)}:{'+'.join(task.prepare_settings.negative)}",
        "tile": f"{extract.tile_size} px at {extract.mpp} microns per pixel",
        "aggregation": "gated attention MIL, ensemble of folds",
    }
