"""cohort.csv and the sidecars → slides.csv and staging.csv in folders named by their content, once every feature file is verified."""

from __future__ import annotations

import hashlib
import json

from pathology.contracts.cohort import CohortRow, SlideRow, read_cohort
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.collect import CollectFeaturesJob
from pathology.contracts.features import Sidecar
from pathology.contracts.staging import StagingRow
from pathology.contracts.storage import Store, atomic_write
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.storage import open_store
from pathology.wsi.layout import FeatureLayout

REMEDY = "start again with --param ExtractionRun=<something new>"
MAX_NAMED = 5
"""Slides named in an error before it only counts."""


def collect(rows: list[CohortRow], layout: FeatureLayout, store: Store) -> list[SlideRow]:
    """One row per slide of the cohort, in its order; the hash of every ``ok`` file is checked.

    Raises:
        DataError: naming the slides without a sidecar of these settings, or whose feature file is gone or changed.
    """
    slides: list[SlideRow] = []
    faulty: list[str] = []
    for row in rows:
        sidecar = layout.read_sidecar(store, row.slide_id)
        if sidecar is None or not layout.matches(sidecar, row):
            faulty.append(f"{row.slide_id} (not extracted)")
            continue
        fault = layout.file_fault(store, sidecar) if sidecar.status == "ok" else ""
        if fault:
            faulty.append(f"{row.slide_id} (its feature file is {fault})")
        slides.append(slide_row(sidecar, layout))
    if faulty:
        more = f" and {len(faulty) - MAX_NAMED} more" if len(faulty) > MAX_NAMED else ""
        raise DataError(f"{len(faulty)} of {len(rows)} slides: {', '.join(faulty[:MAX_NAMED])}{more}; {REMEDY}")
    return slides


def slide_row(sidecar: Sidecar, layout: FeatureLayout) -> SlideRow:
    """The table's row of a sidecar."""
    same = ("slide_id", "status", "reason", "settings_hash", "mpp", "mpp_source", "tiles", "failed_tiles", "seconds")
    features = str(layout.features(sidecar.slide_id)) if sidecar.status == "ok" else ""
    return SlideRow(
        **{name: getattr(sidecar, name) for name in same},
        features=features,
        sha256=sidecar.sha256,
        content_sha256=sidecar.content_sha256,
        reader=sidecar.reader,
    )


def staging_rows(slides: list[SlideRow]) -> list[StagingRow]:
    """What the stage command copies to where training reads: the feature file of every ``ok`` slide, in the cohort's order."""
    return [
        StagingRow(uri=slide.features, sha256=slide.sha256, target=slide.feature_file) for slide in slides if slide.status == "ok"
    ]


def check_usable(cohort: list[CohortRow], slides: list[SlideRow], max_failed_fraction: float) -> None:
    """Refuse a cohort that lost too many slides, or a class of which nothing is left on one side of the split.

    Raises:
        DataError: with the count, the fraction and the first reason, or the class and side.
    """
    failed = [slide for slide in slides if slide.status == "failed"]
    if len(failed) > max_failed_fraction * len(slides):
        raise DataError(
            f"{len(failed)} of {len(slides)} slides failed ({len(failed) / len(slides):.0%}, at most {max_failed_fraction:.0%} may); "
            f"the first is {failed[0].slide_id}: {failed[0].reason}"
        )
    ok = {slide.slide_id for slide in slides if slide.status == "ok"}
    if not ok:
        first = next((slide for slide in slides if slide.reason), slides[0])
        raise DataError(f"none of {len(slides)} slides has features; the first is {first.slide_id}: {first.reason}")
    for split in ("train", "test"):
        for label in (0, 1):
            members = [row.slide_id for row in cohort if (row.split, row.label) == (split, label)]
            if not ok.intersection(members):
                raise DataError(
                    f"no {split} slide with label {label} has features ({len(members)} in the cohort): add slides of it"
                )


def main(job: Job) -> None:
    """Collect, check, write slides.csv and staging.csv through the store, then collected.json, which names both, to the output."""
    settings = job.hyperparameters(CollectFeaturesJob)
    cohort = read_cohort(job.file("cohort", ".csv"))
    store = open_store()
    uri = Uri.parse(settings.encoder) / "encoder.json"
    manifest: EncoderManifest = EncoderManifest.from_json(store.read(uri), str(uri))
    layout = FeatureLayout.of(settings.features, settings.hash(manifest.name, manifest.sha256))
    slides = collect(cohort, layout, store)
    check_usable(cohort, slides, settings.max_failed_fraction)
    table, staging = SlideRow.table(slides), StagingRow.table(staging_rows(slides))
    table_uri, staging_uri = layout.slides_table(table), layout.staging_table(staging)
    store.write(table_uri, table)
    store.write(staging_uri, staging)
    counts = {status: sum(slide.status == status for slide in slides) for status in ("ok", "empty", "failed")}
    result = {
        "slides": {"uri": str(table_uri), "sha256": hashlib.sha256(table).hexdigest(), **counts},
        "staging": {"uri": str(staging_uri), "sha256": hashlib.sha256(staging).hexdigest()},
        "settings_hash": layout.settings_hash,
    }
    atomic_write(job.output("slides") / "collected.json", (json.dumps(result, indent=2) + "\n").encode())
    tiles = sum(slide.tiles or 0 for slide in slides)
    figures = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"{len(slides)} slides: {figures}; {tiles} tiles; {table_uri}")


if __name__ == "__main__":
    run(main)
