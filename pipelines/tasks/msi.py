"""pipeline_definitions/msi.yaml: slides and labels, extraction, attention MIL."""

from __future__ import annotations

from typing import Annotated

from pathology.contracts.comparison.gate import CompareJob
from pathology.contracts.description.describe import DescribeVersion
from pathology.contracts.extraction.collect import CollectFeatures, CollectFeaturesJob
from pathology.contracts.extraction.extract import ExtractFeatures, ExtractFeaturesJob
from pathology.contracts.media import GEOJSON, JSON
from pathology.contracts.msi.evaluate import EvaluateMsi
from pathology.contracts.msi.predict import PredictMsi, PredictMsiJob
from pathology.contracts.msi.prepare import PrepareMsi, PrepareMsiJob
from pathology.contracts.msi.prepare_slides import APPROVED, VERSION, PrepareSlidesMsi, PrepareSlidesMsiJob
from pathology.contracts.msi.train import TrainMsi
from pathology.contracts.settings import Settings, setting
from pathology.contracts.staging import Stage as StageJob

from pipelines.tasks import PREDICT, TRAIN
from pipelines.tasks.sections import (
    AurocGate,
    Compare,
    Data,
    InstanceParameters,
    OptionalData,
    PipelineYaml,
    Place,
    Processing,
    Task,
    Training,
)
from pipelines.tasks.spec import Demo, Hosted, PipelineSpec, TaskSpec
from steps.environment import RunAs, TrainingResources


class Dataset(Settings):
    """Slides (a folder, or the root a GDC manifest was downloaded to) and the table of labels."""

    slides: Data = setting(..., "A folder of slides, or the root that a GDC manifest was downloaded to.", parameter="SlidesUri")
    manifest: OptionalData = setting(None, "The GDC manifest.", parameter="ManifestUri")
    labels: Data = setting(..., "The table of labels, csv or xlsx.", parameter="LabelsUri")
    earlier_cohort: OptionalData = setting(
        None, "An earlier cohort.csv whose patients keep their places, with split given.", parameter="EarlierCohortUri"
    )


class Extract(Processing[ExtractFeatures]):
    """ExtractFeatures; ``run_as: training`` lets it read slides from EFS."""

    run_as: RunAs = setting("processing", "Kind of the job; a Training job can mount slides on EFS.")
    resources: TrainingResources
    features: Place = setting(..., "Where features go, and are found again.", parameter="FeaturesUri")


class Train(Training[TrainMsi]):
    """TrainMsi; ``features`` and ``models`` say where it reads: a folder on EFS, or the same as extraction's in S3."""

    features: Place = setting(..., "Where training reads features: EFS's folder, or where extraction writes.")
    models: Place = setting(..., "Where training reads the encoder's manifest: EFS's folder, or the encoder's in S3.")


class MsiTask(Task):
    """The whole file."""

    dataset: Dataset
    prepare: Annotated[Processing[PrepareMsi], InstanceParameters()]
    extract: Annotated[Extract, InstanceParameters(count=True)]
    collect: Processing[CollectFeatures]
    train: Annotated[Train, InstanceParameters()]
    evaluate: Annotated[Processing[EvaluateMsi], InstanceParameters()]
    compare: Compare = Compare()
    gate: AurocGate


class Slides(Settings):
    """Slides without labels, and where it is known a table that says whose they are."""

    slides: Data = setting(..., "A folder of slides, or a table that names them by URI.", parameter="SlidesUri")
    patients: OptionalData = setting(
        None,
        "A table with slide and patient; none: by the TCGA barcode in a slide's name, else each slide is a patient of its own.",
        parameter="PatientsUri",
    )


class Model(Settings):
    """The version that is asked; the first step finds it once, for all of them."""

    group: str = setting(..., "The model package group that versions are in.", pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")
    version: str = setting(
        APPROVED, "A version's ARN, or approved: the group's latest approved one.", parameter="ModelVersion", pattern=VERSION
    )


_EXTRACT = ExtractFeatures.model_fields


class Extraction(Settings):
    """How extraction runs; what it makes is the model's."""

    batch_size: int = _EXTRACT["batch_size"]  # type: ignore[assignment]  # pydantic takes a field for a default
    reader_threads: int = _EXTRACT["reader_threads"]  # type: ignore[assignment]
    extraction_run: str = _EXTRACT["extraction_run"]  # type: ignore[assignment]


class ExtractUnlabelled(Processing[Extraction]):
    """ExtractFeatures, as the model's own features were made."""

    features: Place = setting(..., "Where features go, and are found again: training's own.", parameter="FeaturesUri")


class MsiPredict(PipelineYaml):
    """The whole file."""

    dataset: Slides
    model: Model
    prepare: Annotated[Processing[PrepareSlidesMsi], InstanceParameters()]
    extract: Annotated[ExtractUnlabelled, InstanceParameters(count=True)]
    collect: Processing[CollectFeatures]
    predict: Annotated[Processing[PredictMsi], InstanceParameters()]


TASK = TaskSpec(
    name="msi",
    pipelines={
        TRAIN: PipelineSpec(
            graph="pipelines.graphs.msi:msi",
            model=MsiTask,
            commands={
                "prepare_msi": PrepareMsiJob,
                "extract_features": ExtractFeaturesJob,
                "collect_features": CollectFeaturesJob,
                "stage": StageJob,
                "train_msi_tcga": TrainMsi,
                "evaluate_msi": EvaluateMsi,
                "compare_msi": CompareJob,
                "describe": DescribeVersion,
            },
        ),
        PREDICT: PipelineSpec(
            graph="pipelines.graphs.msi_predict:msi_predict",
            model=MsiPredict,
            commands={
                "prepare_slides_msi": PrepareSlidesMsiJob,
                "extract_features": ExtractFeaturesJob,
                "collect_features": CollectFeaturesJob,
                "predict_msi": PredictMsiJob,
            },
        ),
    },
    headline=("auroc", "balanced_accuracy", "sensitivity", "specificity"),
    titles={"auroc": "AUROC"},
    comparable="pathology.contracts.msi.comparison:COMPARABLE",
    hosted=Hosted(takes="patients", answers=(JSON, GEOJSON), encoder=False),
    demo=Demo(
        make="demo.slides:make_demo",
        data={"SlidesUri": "slides", "LabelsUri": "labels/labels.csv"},
        own={"SlidesUri": ("slides", True), "LabelsUri": ("labels", False)},
        # More test patients; a split in proportion, since a class of so few is easily absent somewhere.
        settings={
            "FeaturesUri": "s3://{bucket}/demo/features",
            "TestFraction": "0.35",
            "Split": "stratified",
            "SplitSeed": "0",
        },
        # The bound of a measured AUROC of 0.6 at the 9 and 14 test patients that are made.
        tiny={"Precision": "float32", "Epochs": "20", "TilesPerBag": "200", "MinAuroc": "0.35"},
        here={"ManifestUri": "none", "ExtractInstanceCount": "1"},
    ),
)
