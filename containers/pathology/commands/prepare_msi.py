"""PrepareMsi: slides and a label table → the cohort, what extraction has to know of its slides, and the flow; before any GPU is rented."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pathology.cohort.cohort import Cohort, describe, make_cohort
from pathology.cohort.earlier import read_places
from pathology.cohort.label_table import read_labels
from pathology.cohort.masks import mask_uris, place_masks
from pathology.cohort.slides import FoundSlides, find_slides
from pathology.contracts.cohort import CLASSES, COHORT, CohortRow, classes_json
from pathology.contracts.cohort_flow import FLOW
from pathology.contracts.data_check import DataCheck
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.slides import TABLE, SlideToExtract
from pathology.contracts.msi.prepare import PrepareMsiJob
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.prepared import Inputs, hand_on, publish, publish_encoder
from pathology.storage import open_store


def find_cohort(job: Job, store: Store) -> tuple[Cohort, FoundSlides]:
    """Find slides, join labels, split by patient; what is wrong with the data is in the cohort's ``problems``."""
    settings = job.hyperparameters(PrepareMsiJob)
    with TemporaryDirectory(dir=job.scratch) as scratch:
        inputs = Inputs(store, Path(scratch))
        path = inputs.file("labels", settings.labels)
        with inputs.named_by_uri():
            labels = read_labels(path, settings)
    root, manifest = Uri.parse(settings.slides), Uri.parse(settings.manifest) if settings.manifest else None
    slides = find_slides(store, root, manifest, mask_uris(labels, root))
    earlier = read_places(store, Uri.parse(settings.earlier_cohort)) if settings.earlier_cohort else None
    cohort = make_cohort(slides, labels, settings, earlier)
    place_masks(cohort, store, root)
    return cohort, slides


def check(job: Job) -> bytes:
    """The cohort as far as it can be made, and everything that forbids it."""
    try:
        cohort, _ = find_cohort(job, open_store())
    except DataError as error:
        return DataCheck(problems=[str(error)]).to_json()
    return DataCheck(
        problems=cohort.problems,
        warnings=cohort.warnings,
        notes=cohort.notes,
        values=cohort.values,
        columns=cohort.columns,
        parts={name: f"{side.patients} patients, {side.positives} positive" for name, side in cohort.flow.sides.items()},
        flow=cohort.flow.model_dump(mode="json"),
    ).to_json()


def main(job: Job) -> None:
    """Make the cohort and hand it on, or end with every problem of the data in one line.

    Labels and split are handed on apart from what extraction reads, and the account of who is not in the cohort apart from both, so that
    a change of one recomputes what depends on it and nothing else.
    """
    settings, store = job.hyperparameters(PrepareMsiJob), open_store()
    encoder = publish_encoder(store, Uri.parse(settings.prepared), settings.encoder)
    cohort, found = find_cohort(job, store)
    print(describe(cohort))
    cohort.check()
    marks = {slide.slide_id: slide.mark for slide in found.slides}
    to_extract = SlideToExtract.table(SlideToExtract.of(row, marks[row.slide_id]) for row in cohort.rows)
    root = Uri.parse(settings.prepared)
    hand_on(
        job,
        {
            **encoder,
            "cohort": publish(store, root, {COHORT: CohortRow.table(cohort.rows), CLASSES: classes_json(cohort.classes)}),
            "slides_to_extract": publish(store, root, {TABLE: to_extract}),
            "flow": publish(store, root, {FLOW: cohort.summary_json()}),
        },
    )


if __name__ == "__main__":
    run(main, check=check)
