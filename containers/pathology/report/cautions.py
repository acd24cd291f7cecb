"""What a reader of any evaluation must know before believing a number; the words are the same for every task."""

from __future__ import annotations

from collections.abc import Mapping

from pathology.contracts.evaluation import EncoderReport

FEW = 20
"""Of one class: below it an interval of sensitivity or specificity is wider than 0.4."""


def stand_in(encoder: EncoderReport, about: str = "patients") -> list[str]:
    """Said when the encoder is no published one."""
    if encoder.published:
        return []
    remark = f" ({encoder.remark})" if encoder.remark else ""
    return [
        f"The encoder {encoder.name} is a seeded stand-in, not a published foundation model{remark}: these results "
        f"show that the pipeline runs and say nothing about {about}."
    ]


def shuffled(training: Mapping[str, str]) -> list[str]:
    """Said when the settings of ``training`` dealt labels out by chance."""
    if training.get("shuffle-labels") != "true":
        return []
    return ["The model was trained on shuffled labels, to prove that nothing leaks: it knows nothing and must not serve."]


def small(positives: int, negatives: int, units: str = "patients") -> list[str]:
    """Said when a class has fewer than :data:`FEW`."""
    if min(positives, negatives) >= FEW:
        return []
    return [
        f"The test set holds {positives} positive and {negatives} negative {units}: read the intervals, not the single numbers."
    ]


def other_code(evaluated_with: str, packed: str) -> list[str]:
    """Said when the functions that evaluated are not those that the artefact would serve with."""
    if evaluated_with == packed:
        return []
    return ["The code that evaluated is not the code packed with the model: train again before registering it."]
