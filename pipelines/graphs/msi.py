"""The msi pipeline: whole slides → features → attention MIL → microsatellite status per patient."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pathology.contracts.errors import RequestError
from pathology.contracts.log_lines import MSI_METRICS, SLIDE_METRIC
from pathology.contracts.settings import NOT_GIVEN

from pipelines.config import MsiTask
from steps.environment import Environment
from steps.gate import fail, quality_gate
from steps.jobs import Job, processing, training
from steps.placement import Mount
from steps.register import register
from steps.sdk import Parameter, ParameterFloat, ParameterInteger, ParameterString, Step

AUROC = "binary_classification_metrics.auc.value"


@dataclass(frozen=True)
class MsiParameters:
    """What a person changes per run in Studio; the YAML gives the defaults."""

    slides: ParameterString
    manifest: ParameterString
    labels: ParameterString
    dataset_version: ParameterString
    test_fraction: ParameterFloat
    encoder: ParameterString
    features: ParameterString
    prepare_instance: ParameterString
    extract_instance: ParameterString
    extract_hosts: ParameterInteger
    train_instance: ParameterString
    evaluate_instance: ParameterString
    tiles_per_slide: ParameterInteger
    precision: ParameterString
    extraction_run: ParameterString
    max_failed_fraction: ParameterFloat
    epochs: ParameterInteger
    batch_size: ParameterInteger
    learning_rate: ParameterFloat
    tiles_per_bag: ParameterInteger
    seed: ParameterInteger
    min_auroc: ParameterFloat
    approval: ParameterString

    @classmethod
    def from_task(cls, task: MsiTask) -> MsiParameters:
        """Parameters with the task's values as defaults."""
        extract, train = task.extract_settings, task.train_settings
        return cls(
            slides=ParameterString("SlidesUri", task.dataset.slides),
            manifest=ParameterString("ManifestUri", task.dataset.manifest or NOT_GIVEN),
            labels=ParameterString("LabelsUri", task.dataset.labels),
            dataset_version=ParameterString("DatasetVersion", task.dataset.version),
            test_fraction=ParameterFloat("TestFraction", task.prepare_settings.test_fraction),
            encoder=ParameterString("EncoderUri", task.encoder.weights),
            features=ParameterString("FeaturesUri", task.extract.features),
            prepare_instance=ParameterString("PrepareInstanceType", task.prepare.resources.instance_type),
            extract_instance=ParameterString("ExtractInstanceType", task.extract.resources.instance_type),
            extract_hosts=ParameterInteger("ExtractInstanceCount", task.extract.resources.instance_count),
            train_instance=ParameterString("TrainInstanceType", task.train.resources.instance_type),
            evaluate_instance=ParameterString("EvaluateInstanceType", task.evaluate.resources.instance_type),
            tiles_per_slide=ParameterInteger("TilesPerSlide", extract.max_tiles),
            precision=ParameterString("Precision", extract.precision, enum_values=["float32", "float16", "bfloat16"]),
            extraction_run=ParameterString("ExtractionRun", extract.extraction_run),
            max_failed_fraction=ParameterFloat("MaxFailedFraction", task.collect.max_failed_fraction),
            epochs=ParameterInteger("Epochs", train.epochs),
            batch_size=ParameterInteger("BatchSize", train.batch_size),
            learning_rate=ParameterFloat("LearningRate", train.learning_rate),
            tiles_per_bag=ParameterInteger("TilesPerBag", train.max_tiles),
            seed=ParameterInteger("Seed", train.seed),
            min_auroc=ParameterFloat("MinAuroc", task.gate.min_auroc),
            approval=ParameterString(
                "ModelApprovalStatus", task.register_as.approval, enum_values=["PendingManualApproval", "Approved", "Rejected"]
            ),
        )

    def all(self) -> list[Parameter]:
        """Every parameter, in the order of Studio's form."""
        return [getattr(self, item.name) for item in fields(self)]


def msi(task: MsiTask, env: Environment) -> tuple[list[Parameter], list[Step]]:
    """Prepare → Extract → Collect → Stage → Train → Evaluate → Check → Register | BelowThreshold."""
    run = MsiParameters.from_task(task)
    tiling = {"max-tiles": run.tiles_per_slide, "precision": run.precision}

    cohort = processing(
        "PrepareMsi",
        env,
        "prepare_msi",
        image=env.images.training,
        resources=task.prepare.resources,
        instance_type=run.prepare_instance,
        inputs={"labels": run.labels},
        outputs=["cohort"],
        hyperparameters={
            **task.prepare_settings.given(),
            "slides": run.slides,
            "manifest": run.manifest,
            "test-fraction": run.test_fraction,
            "seed": run.seed,
        },
        environment={"DATASET_VERSION": run.dataset_version},
        cached=True,
        description="Joins slides and labels into cohort.csv; splits by patient.",
    )
    features = _extract(task, env, run, cohort, tiling)
    slides = processing(
        "CollectFeatures",
        env,
        "collect_features",
        image=env.images.training,
        resources=task.collect.resources,
        instance_type=task.collect.resources.instance_type,
        inputs={"cohort": cohort["cohort"]},
        outputs=["slides"],
        report=("slides", "collected.json"),
        hyperparameters={
            **task.collect_settings.given(),
            **tiling,
            "features": run.features,
            "encoder": run.encoder,
            "max-failed-fraction": run.max_failed_fraction,
        },
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
        image=env.images.training,
        resources=task.train.resources,
        instance_type=run.train_instance,
        channels={
            "training": Mount(task.train.features).whole() if staged else run.features,
            "models": Mount(task.train.models).whole() if staged else run.encoder,
            "slides": slides_csv,
            "splits": cohort["cohort"],
        },
        streamed=() if staged else ("training", "models"),
        hyperparameters={
            **task.train_settings.given(),
            "epochs": run.epochs,
            "batch-size": run.batch_size,
            "learning-rate": run.learning_rate,
            "max-tiles": run.tiles_per_bag,
            "seed": run.seed,
        },
        metrics=MSI_METRICS,
        cached=True,
        after=[staged] if staged else [],
        description="Gated attention MIL, cross-validated; the folds' models are kept as an ensemble.",
    )
    scores = processing(
        "EvaluateMsi",
        env,
        "evaluate_msi",
        image=env.images.training,
        resources=task.evaluate.resources,
        instance_type=run.evaluate_instance,
        inputs={"model": model.artefact, "slides": slides_csv, "cohort": cohort["cohort"]},
        outputs=["evaluation"],
        report=("evaluation", "evaluation.json"),
        hyperparameters=task.evaluate_settings.given(),
        cached=True,
        description="Runs the packaged model on the test patients: evaluation.json, predictions.csv, report.html.",
    )
    registered = register(
        "RegisterMsi",
        env,
        group=task.register_as.group,
        model=model,
        scores=scores,
        approval=run.approval,
        instance_types=task.register_as.instance_types,
        content_type="application/json",
        response_type="application/json",
        metadata=_metadata(task),
        description=task.description,
    )
    below = fail("MsiBelowThreshold", "AUROC", scores, AUROC, run.min_auroc)
    gate = quality_gate("CheckMsi", scores, AUROC, run.min_auroc, then=registered, otherwise=below)

    jobs = [cohort, features, slides, *([staged] if staged else []), model, scores]
    return run.all(), [*(job.step for job in jobs), gate]


def _extract(task: MsiTask, env: Environment, run: MsiParameters, cohort: Job, tiling: dict[str, Parameter]) -> Job:
    """ExtractFeatures as a Processing job, or as a Training job that can mount EFS; features go to S3 either way."""
    hyperparameters = {
        **task.extract_settings.given(),
        **tiling,
        "features": run.features,
        "extraction-run": run.extraction_run,
    }
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
            image=env.images.cucim_tiler,
            resources=task.extract.resources,
            instance_type=run.extract_instance,
            instance_count=run.extract_hosts,
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
        image=env.images.cucim_tiler,
        resources=task.extract.resources,
        instance_type=run.extract_instance,
        instance_count=run.extract_hosts,
        inputs=inputs,
        hyperparameters=hyperparameters,
        cached=True,
        description=description,
    )


def _stage(task: MsiTask, env: Environment, run: MsiParameters, slides_csv: object) -> Job | None:
    """StageFeatures, where training reads EFS."""
    on_efs = {uri.startswith("efs://") for uri in (task.train.features, task.train.models)}
    if on_efs == {False}:
        return None
    if on_efs != {True}:
        raise RequestError("train.features and train.models: put both on efs:// or both on s3://")
    if task.stage is None:
        raise RequestError(f"stage: missing, and train.features is {task.train.features}: say what StageFeatures runs on")
    return training(
        "StageFeatures",
        env,
        "stage",
        image=env.images.training,
        resources=task.stage.resources,
        instance_type=task.stage.resources.instance_type,
        channels={
            "slides": slides_csv,
            "features_destination": Mount(task.train.features, "rw").whole(),
            "models_destination": Mount(task.train.models, "rw").whole(),
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
