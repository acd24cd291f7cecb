"""cohort.csv and the sidecars → slides.csv at a place named by its content, once every feature file is proven."""

from __future__ import annotations

import hashlib
import json

from pathology.contracts.errors import DataError
from pathology.contracts.features import EncoderCard, Sidecar
from pathology.contracts.settings_msi import CollectFeatures
from pathology.contracts.storage import Store, write_whole
from pathology.contracts.tables import CohortRow, SlideRow, read_cohort
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.storage import open_store
from pathology.wsi.places import Places

REMEDY = "start again with --param ExtractionRun=<something new>"
NAMED = 5
"""Slides named in an error before it only counts."""


def collect(rows: list[CohortRow], places: Places, store: Store) -> list[SlideRow]:
    """One row per slide of the cohort, in its order; the hash of every ``ok`` file is checked.

    Raises:
        DataError: naming the slides without a sidecar of these settings, or whose feature file is gone or changed.
    """
    found: list[SlideRow] = []
    wrong: list[str] = []
    for row in rows:
        sidecar = places.read_sidecar(store, row.slide_id)
        if sidecar is None or not places.speaks_of(sidecar, row):
            wrong.append(f"{row.slide_id} (not extracted)")
            continue
        trouble = places.holds(store, sidecar) if sidecar.status == "ok" else ""
        if trouble:
            wrong.append(f"{row.slide_id} (its feature file is {trouble})")
        found.append(slide_row(sidecar, places))
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise DataError(f"{len(wrong)} of {len(rows)} slides: {', '.join(wrong[:NAMED])}{more}; {REMEDY}")
    return found


def slide_row(sidecar: Sidecar, places: Places) -> SlideRow:
    """The table's row of a sidecar."""
    same = ("slide_id", "status", "reason", "settings_hash", "mpp", "mpp_source", "tiles", "failed_tiles", "seconds")
    features = str(places.features(sidecar.slide_id)) if sidecar.status == "ok" else ""
    return SlideRow(
        **{name: getattr(sidecar, name) for name in same},
        features=features,
        sha256=sidecar.sha256,
        reader=sidecar.reader,
    )


def check_usable(cohort: list[CohortRow], slides: list[SlideRow], most_failed: float) -> None:
    """Refuse a cohort that lost too many slides, or a class of which nothing is left on one side of the split.

    Raises:
        DataError: with the count, the share and the first reason, or the class and side.
    """
    failed = [slide for slide in slides if slide.status == "failed"]
    if len(failed) > most_failed * len(slides):
        raise DataError(
            f"{len(failed)} of {len(slides)} slides failed ({len(failed) / len(slides):.0%}, at most {most_failed:.0%} may); "
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
    """Collect, check, write slides.csv through the store and collected.json to the output."""
    settings = job.hyperparameters(CollectFeatures)
    cohort = read_cohort(job.file("cohort", ".csv"))
    store = open_store()
    uri = Uri.parse(settings.encoder) / "encoder.json"
    card: EncoderCard = EncoderCard.from_json(store.read(uri), str(uri))
    places = Places.of(settings.features, settings.hash(card.name, card.sha256))
    slides = collect(cohort, places, store)
    check_usable(cohort, slides, settings.max_failed_fraction)
    content = SlideRow.table(slides)
    target = places.cohort(content)
    store.write(target, content)
    counts = {status: sum(slide.status == status for slide in slides) for status in ("ok", "empty", "failed")}
    result = {
        "slides": {"uri": str(target), "sha256": hashlib.sha256(content).hexdigest(), **counts},
        "settings_hash": places.settings_hash,
    }
    write_whole(job.output("slides") / "collected.json", (json.dumps(result, indent=2) + "\n").encode())
    tiles = sum(slide.tiles or 0 for slide in slides)
    figures = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"{len(slides)} slides: {figures}; {tiles} tiles; {target}")


if __name__ == "__main__":
    run(main)
