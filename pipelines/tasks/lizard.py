"""pipeline_definitions/lizard.yaml: annotated nuclei, a decoder on the encoder."""

from __future__ import annotations

from typing import Annotated

from pathology.contracts.comparison.gate import CompareJob, GateRule
from pathology.contracts.description.describe import DescribeVersion
from pathology.contracts.lizard.evaluate import EvaluateLizard
from pathology.contracts.lizard.prepare import PrepareLizard, PrepareLizardJob
from pathology.contracts.lizard.train import TrainLizard
from pathology.contracts.media import GEOJSON, JSON
from pathology.contracts.settings import Fraction, Settings, setting
from pathology.contracts.staging import Stage as StageJob

from pipelines.tasks import TRAIN
from pipelines.tasks.sections import Compare, Data, InstanceParameters, PatchTraining, Processing, Task
from pipelines.tasks.spec import Demo, Hosted, PipelineSpec, TaskSpec


class Dataset(Settings):
    """Nuclei in CoNIC's layout."""

    arrays: Data = setting(..., "A folder with images.npy, labels.npy, counts.csv and patch_info.csv.", parameter="DatasetUri")


class Gate(GateRule):
    """The gate on the binary panoptic quality."""

    min_bpq: Fraction = setting(
        ..., "Least bPQ on the test patches, or lower bound of it, that registers a model.", parameter=True
    )


class LizardTask(Task):
    """The whole file."""

    dataset: Dataset
    prepare: Annotated[Processing[PrepareLizard], InstanceParameters()]
    train: Annotated[PatchTraining[TrainLizard], InstanceParameters(count=True)]
    evaluate: Annotated[Processing[EvaluateLizard], InstanceParameters()]
    compare: Compare = Compare()
    gate: Gate


TASK = TaskSpec(
    name="lizard",
    pipelines={
        TRAIN: PipelineSpec(
            graph="pipelines.graphs.lizard:lizard",
            model=LizardTask,
            commands={
                "prepare_lizard": PrepareLizardJob,
                "stage": StageJob,
                "train_lizard": TrainLizard,
                "evaluate_lizard": EvaluateLizard,
                "compare_lizard": CompareJob,
                "describe": DescribeVersion,
            },
        )
    },
    headline=("bpq", "detection_f1", "dice", "mpq", "mpq_plus", "r2"),
    titles={
        "bpq": "bPQ",
        "detection_f1": "detection F1",
        "centroid_f1": "detection F1 by centroid, 12 px",
        "dice": "Dice",
        "aji": "AJI",
        "mpq": "mPQ",
        "mpq_plus": "mPQ+",
        "r2": "R²",
    },
    comparable="pathology.tasks.lizard.comparison:COMPARABLE",
    hosted=Hosted(answers=(GEOJSON, JSON), sample="nuclei.png"),
    demo=Demo(
        make="demo.nuclei:make_demo",
        data={"DatasetUri": "arrays"},
        own={"DatasetUri": ("dataset", True)},
        settings={},
        # A narrow decoder and a short training; too few source images for an interval, whose bound could be judged.
        tiny={"Epochs": "6", "BatchSize": "4", "LearningRate": "0.01", "Width": "8", "MinBpq": "0.3", "GateOn": "value"},
        here={"PublishedCounts": "false"},  # fewer patches than Lizard's
    ),
)
