"""Two mhist models on the same test patches, as their evaluations were stored."""

from __future__ import annotations

from functools import partial

from pathology.contracts.comparison.binary import compare_binary
from pathology.contracts.comparison.reading import Comparable, Contents, Read, StoredEvaluation, binary_answers

ITEM = "image"


def contents(evaluated: StoredEvaluation, read: Read) -> Contents:
    """Each patch's file."""
    return {row[ITEM]: {"sha256": row["sha256"]} for row in evaluated.table(read, "patches")}


COMPARABLE = Comparable(
    task="mhist",
    measure="auroc",
    title="AUROC",
    unit="patches",
    item=ITEM,
    contents=contents,
    answers=partial(binary_answers, item=ITEM, group="group"),
    compare=lambda first, second, confidence: compare_binary(first, second, unit="patches", confidence=confidence),
)
