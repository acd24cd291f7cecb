"""pipeline_definitions/tumour.yaml: a table of patches, a classifier on the encoder."""

from __future__ import annotations

from typing import Annotated

from pathology.contracts.comparison.gate import CompareJob
from pathology.contracts.description.describe import DescribeVersion
from pathology.contracts.settings import Settings, setting
from pathology.contracts.staging import Stage as StageJob
from pathology.contracts.tumour.evaluate import EvaluateTumour
from pathology.contracts.tumour.prepare import PrepareTumour, PrepareTumourJob
from pathology.contracts.tumour.train import TrainTumour

from pipelines.tasks import TRAIN
from pipelines.tasks.sections import AurocGate, Compare, Data, InstanceParameters, PatchTraining, Processing, Task
from pipelines.tasks.spec import Demo, PipelineSpec, TaskSpec


class Dataset(Settings):
    """A table of patches, and their files."""

    table: Data = setting(..., "The table with image, label and split.", parameter="TableUri")
    images: Data = setting(..., "A folder with a zip of PNGs, or with the PNGs.", parameter="ImagesUri")


class TumourTask(Task):
    """The whole file."""

    dataset: Dataset
    prepare: Annotated[Processing[PrepareTumour], InstanceParameters()]
    train: Annotated[PatchTraining[TrainTumour], InstanceParameters(count=True)]
    evaluate: Annotated[Processing[EvaluateTumour], InstanceParameters()]
    compare: Compare = Compare()
    gate: AurocGate


TASK = TaskSpec(
    name="tumour",
    pipelines={
        TRAIN: PipelineSpec(
            graph="pipelines.graphs.tumour:tumour",
            model=TumourTask,
            commands={
                "prepare_tumour": PrepareTumourJob,
                "stage": StageJob,
                "train_tumour": TrainTumour,
                "evaluate_tumour": EvaluateTumour,
                "compare_tumour": CompareJob,
                "describe": DescribeVersion,
            },
        )
    },
    headline=("auroc", "sensitivity", "specificity"),
    titles={"auroc": "AUROC"},
    comparable="pathology.contracts.tumour.comparison:COMPARABLE",
    demo=Demo(
        make="demo.tumour:make_demo",
        data={"TableUri": "labels.csv", "ImagesUri": "images"},
        own={"TableUri": ("table", False), "ImagesUri": ("images", True)},
        settings={"MinAuroc": "0.5"},
    ),
)
