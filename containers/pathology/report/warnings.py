"""What a reader of any evaluation must know before believing a number; the words are the same for every task."""

from __future__ import annotations

from collections.abc import Mapping

from pathology.contracts.evaluation import EncoderReport

FEW = 20
"""Of one class: below it an interval of sensitivity or specificity is wider than 0.4."""


def placeholder_encoder(encoder: EncoderReport, about: str) -> list[str]:
    """Said when the encoder is not a published one."""
    if encoder.published:
        return []
    remark = f" ({encoder.remark})" if encoder.remark else ""
    return [
        f"The encoder {encoder.name} is a placeholder with seeded weights, not a published foundation model{remark}: these results "
        f"show that the pipeline runs and say nothing about {about}."
    ]


def permuted_labels(training: Mapping[str, str]) -> list[str]:
    """Said when the settings of ``training`` permuted the labels."""
    if training.get("shuffle-labels") != "true":
        return []
    return ["The model was trained on permuted labels, a negative control (shuffle-labels): it must not serve."]


def small(positives: int, negatives: int, units: str) -> list[str]:
    """Said when a class has fewer than :data:`FEW`."""
    if min(positives, negatives) >= FEW:
        return []
    return [
        f"The test set holds {positives} positive and {negatives} negative {units}: read the intervals, not the single numbers."
    ]


def other_table(trained_here: bool, table: str, items: str) -> list[str]:
    """Said when the model was trained from another ``table`` than the one whose test ``items`` are evaluated."""
    if trained_here:
        return []
    return [f"The model was trained from another {table} table: make sure that none of these {items} was in it."]


def copies_of_training(copies: int, what: str) -> list[str]:
    """Said when test patches have the same ``what`` (bytes, pixels) as train or validation patches."""
    if not copies:
        return []
    return [f"{copies} test patches have the very {what} of a train or validation patch: they do not test the model."]


def other_code(evaluated_with: str, packed: str) -> list[str]:
    """Said when the functions that evaluated are not those that the artefact would serve with."""
    if evaluated_with == packed:
        return []
    return ["The code that evaluated is not the code packed with the model: train again before registering it."]
