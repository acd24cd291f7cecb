"""cohort.csv and the sidecars → slides.csv and staging.csv in folders named by their content, once every feature file is verified."""

from __future__ import annotations

import hashlib
import json

from pathology.contracts.cohort import COHORT, CohortRow, SlideRow, read_cohort
from pathology.contracts.cohort_flow import FLOW, CohortFlow, read_flow, with_tissue
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.collect import CollectFeaturesJob
from pathology.contracts.extraction.made_with import MADE_WITH, MadeWith
from pathology.contracts.extraction.slides import TABLE, SlideToExtract, read_slides
from pathology.contracts.features import Sidecar
from pathology.contracts.staging import StagingRow
from pathology.contracts.storage import Store, atomic_write
from pathology.contracts.uris import Uri
from pathology.encoders.job_encoder import named_encoder
from pathology.job import Job, run
from pathology.storage import open_store
from pathology.wsi.layout import FeatureLayout

REMEDY = "start again with --param ExtractionRun=<something new>"
SCALES_SPREAD = 2.4
"""Factor between the finest and the coarsest slide beyond which a scale may be wrong: scanners' 20× and 40× lie 2.36 apart at most
(0.22 and 0.52 µm/px), inch and centimetre 2.54."""
MAX_NAMED = 5
"""Slides named in an error before it only counts."""


def collect(rows: list[SlideToExtract], layout: FeatureLayout, store: Store) -> list[SlideRow]:
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
    same = ("slide_id", "status", "reason", "settings_hash", "mpp", "mpp_source", "tiles", "failed_tiles")
    features = str(layout.features(sidecar.slide_id)) if sidecar.status == "ok" else ""
    return SlideRow(
        **{name: getattr(sidecar, name) for name in same},
        features=features,
        sha256=sidecar.sha256,
        content_sha256=sidecar.content_sha256,
        warnings="; ".join(sidecar.warnings),
    )


def staging_rows(slides: list[SlideRow]) -> list[StagingRow]:
    """What the stage command copies to where training reads: the feature file of every ``ok`` slide, in the cohort's order."""
    return [
        StagingRow(uri=slide.features, sha256=slide.sha256, target=slide.feature_file) for slide in slides if slide.status == "ok"
    ]


def check_usable(cohort: list[CohortRow], slides: list[SlideRow], flow: CohortFlow, max_left_out_fraction: float) -> None:
    """Refuse a cohort that lost too many slides, or a class of which nothing is left on one side of the split.

    Raises:
        DataError: with the counts, the fraction and the first reasons, or the class and side.
    """
    ok = {slide.slide_id for slide in slides if slide.status == "ok"}
    if not ok:
        first = next((slide for slide in slides if slide.reason), slides[0])
        raise DataError(f"none of {len(slides)} slides has features; the first is {first.slide_id}: {first.reason}")
    if excess := flow.excess(max_left_out_fraction):
        raise DataError(excess)
    for split in ("train", "test"):
        for label in (0, 1):
            members = [row.slide_id for row in cohort if (row.split, row.label) == (split, label)]
            if not ok.intersection(members):
                raise DataError(
                    f"no {split} slide with label {label} has features ({len(members)} in the cohort): add slides of it"
                )


def check_enough(slides: list[SlideRow], max_left_out_fraction: float) -> None:
    """Refuse a batch without labels of which more than the fraction of the slides failed; a slide without tissue is no failure there.

    Raises:
        DataError: with the counts, the fraction and the first reasons.
    """
    lost = [slide for slide in slides if slide.status == "failed"]
    if len(lost) > max_left_out_fraction * len(slides):
        first = ", ".join(f"{slide.slide_id} ({slide.reason})" for slide in lost[:MAX_NAMED])
        more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
        raise DataError(
            f"{len(lost)} of {len(slides)} slides failed ({len(lost) / len(slides):.0%}, at most {max_left_out_fraction:.0%} "
            f"may be): {first}{more}: correct them, or raise 'max-left-out-fraction' (MaxLeftOutFraction)"
        )


def same_features(cohort: list[CohortRow], slides: list[SlideRow]) -> list[str]:
    """Warnings of slides that have the very features of another slide, which is the same slide under another name.

    Raises:
        DataError: when two such slides differ in label, side or fold.
    """
    rows = {row.slide_id: row for row in cohort}
    first: dict[str, str] = {}
    copies = []
    for slide in slides:
        other = first.setdefault(slide.content_sha256, slide.slide_id) if slide.content_sha256 else slide.slide_id
        if other == slide.slide_id:
            continue
        one, two = rows[other], rows[slide.slide_id]
        if (one.label, one.split, one.fold) != (two.label, two.split, two.fold):
            raise DataError(
                f"slides {other} (patient {one.patient_id}) and {slide.slide_id} (patient {two.patient_id}) have the same features and "
                f"differ in {'label' if one.label != two.label else 'split or fold'}: they are one slide, take one out"
            )
        copies.append(f"{slide.slide_id} has the features of {other}: it is the same slide and counts twice")
    return copies


def slide_warnings(slides: list[SlideRow]) -> list[str]:
    """What was noticed of single slides, and of all scales together."""
    noticed = [slide for slide in slides if slide.warnings]
    lines = [f"slide {slide.slide_id}: {slide.warnings}" for slide in noticed[:MAX_NAMED]]
    if len(noticed) > MAX_NAMED:
        lines.append(f"{len(noticed) - MAX_NAMED} more slides have warnings: slides.csv has them")
    scaled = sorted((slide for slide in slides if slide.mpp is not None), key=lambda slide: slide.mpp or 0)
    if scaled and (scaled[-1].mpp or 0) > SCALES_SPREAD * (scaled[0].mpp or 0):
        ends = " to ".join(f"{slide.mpp:g} µm/px ({slide.slide_id}, {slide.mpp_source})" for slide in (scaled[0], scaled[-1]))
        middle = scaled[len(scaled) // 2].mpp
        lines.append(
            f"the slides' scales run from {ends}, with {middle:g} in the middle: more than 20× and 40× are apart; look whether they are "
            "right, and correct them in the column 'mpp' of the table"
        )
    return lines


def main(job: Job) -> None:
    """Collect, check, write slides.csv and staging.csv through the store, then collected.json, which names both, to the output."""
    settings = job.hyperparameters(CollectFeaturesJob)
    store, manifest = open_store(), named_encoder(job)
    layout = FeatureLayout.of(settings.features, settings.hash(manifest.name, manifest.sha256))
    slides = collect(read_slides(job.file("slides_to_extract", TABLE)), layout, store)
    store.create(layout.root / MADE_WITH, MadeWith.of(settings, manifest.name, manifest.sha256).to_json())
    flow: CohortFlow | None = None
    warnings: list[str] = []
    if job.has_input("cohort"):
        cohort = read_cohort(job.file("cohort", COHORT))
        flow, warnings = read_flow(job.file("flow", FLOW), cohort)
        flow = with_tissue(flow, cohort, slides)
        print("\n".join(flow.lines()))
        check_usable(cohort, slides, flow, settings.max_left_out_fraction)
        warnings += slide_warnings(slides) + same_features(cohort, slides)
    else:
        check_enough(slides, settings.max_left_out_fraction)
        warnings += slide_warnings(slides)
    table, staging = SlideRow.table(slides), StagingRow.table(staging_rows(slides))
    table_uri, staging_uri = layout.slides_table(table), layout.staging_table(staging)
    store.write(table_uri, table)
    store.write(staging_uri, staging)
    counts = {status: sum(slide.status == status for slide in slides) for status in ("ok", "empty", "failed")}
    result = {
        "slides": {"uri": f"{table_uri.parent}/", "sha256": hashlib.sha256(table).hexdigest(), **counts},
        "staging": {"uri": f"{staging_uri.parent}/", "sha256": hashlib.sha256(staging).hexdigest()},
        "features": {"uri": f"{Uri.parse(settings.features)}/"},
        "settings_hash": layout.settings_hash,
        **({} if flow is None else {"flow": json.loads(flow.to_json())}),
        "warnings": warnings,
    }
    atomic_write(job.output("slides") / "collected.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())
    tiles = sum(slide.tiles or 0 for slide in slides)
    figures = ", ".join(f"{count} {status}" for status, count in counts.items())
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{len(slides)} slides: {figures}; {tiles} tiles; {table_uri}")


if __name__ == "__main__":
    run(main)
