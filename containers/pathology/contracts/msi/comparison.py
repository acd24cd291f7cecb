"""Two msi models on the same test patients, as their evaluations were stored."""

from __future__ import annotations

from collections.abc import Iterable

from pathology.contracts.comparison.reading import Contents, Read, StoredEvaluation, binary_comparable
from pathology.contracts.msi.evaluate import SEPARATOR

ITEM = "patient_id"


def contents(evaluated: StoredEvaluation, read: Read) -> Contents:
    """Of each patient's slides: their md5, where the cohort's table has one of each; and their features, which two models share that read
    features of the same settings."""
    md5 = {row["slide_id"]: row.get("md5", "") for row in evaluated.table(read, "cohort")}
    features = {row["slide_id"]: row for row in evaluated.table(read, "slides")}
    settings = sorted({row["settings_hash"] for row in features.values()})
    found = {}
    for patient, slides in zip(evaluated.column(ITEM), evaluated.column("slide_ids"), strict=True):
        names = slides.split(SEPARATOR)
        found[patient] = {
            "md5": _all(md5.get(name, "") for name in names),
            " ".join(("features", *settings)): _all(features.get(name, {}).get("content_sha256", "") for name in names),
        }
    return found


def _all(hashes: Iterable[str]) -> str:
    """In an order of their own; empty where one is not known."""
    found = sorted(hashes)
    return " ".join(found) if all(found) else ""


COMPARABLE = binary_comparable("msi", unit="patients", item=ITEM, contents=contents, group="site")
