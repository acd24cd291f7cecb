"""What a reader of any evaluation must know before believing a number; the words are the same for every task."""

from __future__ import annotations

from collections.abc import Mapping

from pathology.contracts.encoder import NamedEncoder
from pathology.contracts.evaluation import Seen

FEW = 20
"""Of one class: below it an interval of sensitivity or specificity is wider than 0.4."""


def seen_items(seen: Seen) -> list[str]:
    """Said when the model has learnt from test items, or when it is not known."""
    if seen.seen is None:
        return [
            f"It is not known whether the model has learnt from these {seen.test_items:,} test {seen.unit}: its artefact keeps no list of "
            "what it learnt from. Train again to have one, or make sure by other means."
        ]
    if not seen.seen:
        return []
    return [
        f"The model has learnt from {seen.seen:,} of the {seen.test_items:,} test {seen.unit} ({named(seen)}): they do not test it."
    ]


def named(seen: Seen) -> str:
    """The names that ``seen`` gives, and a sign that there are more."""
    return ", ".join(seen.names) + (", …" if (seen.seen or 0) > len(seen.names) else "")


def placeholder_encoder(encoder: NamedEncoder, about: str) -> list[str]:
    """Said when the encoder is a placeholder."""
    if not encoder.placeholder:
        return []
    remark = f" ({encoder.remark})" if encoder.remark else ""
    return [
        f"The encoder {encoder.name} is a placeholder with seeded weights, not a published foundation model{remark}: these results "
        f"show that the pipeline runs and say nothing about {about}."
    ]


def unverified_encoder(encoder: NamedEncoder) -> list[str]:
    """Said when no publisher's hash stands behind the encoder's name."""
    if encoder.verified or encoder.placeholder:
        return []
    remark = f" ({encoder.remark})" if encoder.remark else ""
    return [
        f"The encoder {encoder.name} is not verified: it was named by hand{remark}. Nothing shows that its weights "
        f"(sha256 {encoder.sha256[:12]}…) are what the name says."
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


def other_code(evaluated_with: str, packed: str) -> list[str]:
    """Said when the functions that evaluated are not those that the artefact would serve with."""
    if evaluated_with == packed:
        return []
    return ["The code that evaluated is not the code packed with the model: train again before registering it."]
