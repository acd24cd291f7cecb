"""The log lines that SageMaker's metric definitions match, and how a job prints them."""

from __future__ import annotations

NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"

TRAINING_LOSS = "Training Loss"
VALIDATION_LOSS = "Validation Loss"
VALIDATION_ACCURACY = "Validation Accuracy"
VALIDATION_AUROC = "Validation ROC AUC"
VALIDATION_IOU = "Validation Mean_IOU"
VALIDATION_DICE = "Validation Mean_DICE"
VALIDATION_PQ = "Validation Mean_PQ"
PROCESSING_SLIDE = "Processing slide"


def metric_line(name: str, value: float) -> str:
    """``Validation Loss: 0.412345``."""
    return f"{name}: {value:.6f}"


def metric_definitions(*names: str) -> list[dict[str, str]]:
    """SageMaker's ``MetricDefinitions`` for lines made by :func:`metric_line`, as ``validation:roc_auc`` and so on."""
    return [{"Name": name.lower().replace(" ", ":", 1).replace(" ", "_"), "Regex": f"{name}: {NUMBER}"} for name in names]


def slide_line(number: int, slide_id: str) -> str:
    """``Processing slide #3: TCGA-…``; ``number`` counts from 1."""
    return f"{PROCESSING_SLIDE} #{number}: {slide_id}"


def slides_done_line(done: int, of: int) -> str:
    """``Slides done: 3 of 83``: those that a host, or one worker of it, is done with, of all in the cohort."""
    return f"Slides done: {done} of {of}"


def fold_line(number: int, folds: int) -> str:
    """``Training fold 2 of 5``, as it begins; ``number`` counts from 1."""
    return f"Training fold {number} of {folds}"


def epoch_line(epoch: int, epochs: int) -> str:
    """``Epoch 3 of 20``, as it ends; ``epoch`` counts from 1, ``epochs`` are the most that there will be."""
    return f"Epoch {epoch} of {epochs}"


SLIDES_DONE = r"(?:(worker \d+): )?Slides done: (\d+) of (\d+)"
"""With the worker's name where a host has several."""
FOLD, EPOCH = r"Training fold (\d+) of (\d+)", r"Epoch (\d+) of (\d+)"
SLIDE_METRIC = {"Name": "slides:processing", "Regex": rf"{PROCESSING_SLIDE} #([0-9]+)"}
CLASSIFIER_METRICS = metric_definitions(TRAINING_LOSS, VALIDATION_LOSS, VALIDATION_ACCURACY, VALIDATION_AUROC)
NUCLEI_METRICS = metric_definitions(TRAINING_LOSS, VALIDATION_LOSS, VALIDATION_IOU, VALIDATION_DICE, VALIDATION_PQ)
