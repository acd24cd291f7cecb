"""pipeline_definitions/mhist.yaml: annotated patches, a classifier on the encoder."""

from __future__ import annotations

from typing import Annotated, Self

from pathology.contracts.comparison.gate import CompareJob
from pathology.contracts.description.describe import DescribeVersion
from pathology.contracts.mhist.evaluate import EvaluateMhist
from pathology.contracts.mhist.prepare import PrepareMhist, PrepareMhistJob
from pathology.contracts.mhist.train import TrainMhist
from pathology.contracts.settings import Settings, setting
from pathology.contracts.staging import Stage as StageJob
from pydantic import model_validator

from pipelines.tasks import TRAIN
from pipelines.tasks.sections import AurocGate, Compare, Data, InstanceParameters, PatchTraining, Processing, Task
from pipelines.tasks.spec import Demo, PipelineSpec, TaskSpec


class Dataset(Settings):
    """annotations.csv, and a folder with images.zip or the patches themselves."""

    annotations: Data = setting(..., "MHIST's annotations.csv, or a table of images and labels.", parameter="AnnotationsUri")
    images: Data = setting(..., "A folder with images.zip, or with the PNGs or JPEGs.", parameter="ImagesUri")


class MhistTask(Task):
    """The whole file."""

    dataset: Dataset
    prepare: Annotated[Processing[PrepareMhist], InstanceParameters()]
    train: Annotated[PatchTraining[TrainMhist], InstanceParameters(count=True)]
    evaluate: Annotated[Processing[EvaluateMhist], InstanceParameters()]
    compare: Compare = Compare()
    gate: AurocGate

    @model_validator(mode="after")
    def _a_choice_on_the_test_is_allowed(self) -> Self:
        if self.train.hyperparameters.protocol == "eva" and not self.evaluate.hyperparameters.allow_seen:
            raise ValueError(
                "train's protocol eva chooses the epoch on the test patches, which evaluate refuses: set evaluate's allow-seen to true"
            )
        return self


TASK = TaskSpec(
    name="mhist",
    pipelines={
        TRAIN: PipelineSpec(
            graph="pipelines.graphs.mhist:mhist",
            model=MhistTask,
            commands={
                "prepare_mhist": PrepareMhistJob,
                "stage": StageJob,
                "train_mhist": TrainMhist,
                "evaluate_mhist": EvaluateMhist,
                "compare_mhist": CompareJob,
                "describe": DescribeVersion,
            },
        )
    },
    headline=("auroc", "balanced_accuracy", "sensitivity", "specificity"),
    titles={"auroc": "AUROC"},
    comparable="pathology.contracts.mhist.comparison:COMPARABLE",
    demo=Demo(
        make="demo.patches:make_demo",
        data={"AnnotationsUri": "annotations.csv", "ImagesUri": "images"},
        own={"AnnotationsUri": ("annotations", False), "ImagesUri": ("images", True)},
        settings={},
        tiny={"MinAuroc": "0.5"},  # the bound of a measured AUROC of 0.6 at the 186 test patches that are made
        here={"PublishedCounts": "false"},  # fewer patches than MHIST's
    ),
)
