"""Masks of a person's own: found where the label table says, and named by their content."""

from __future__ import annotations

import hashlib
from collections import Counter

from pathology.cohort.cohort import Cohort
from pathology.cohort.labels import Labels
from pathology.contracts.cohort import CohortRow
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.identifiers import printable
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri

SHOWN = 3
"""Masks that are missing that an error names."""


def mask_uris(labels: Labels, slides: Uri) -> frozenset[Uri]:
    """Where the table's masks lie: a label picture below ``slides`` is no slide, whatever its suffix."""
    found = set()
    for text in labels.masks.values():
        try:
            found.add(mask_uri(text, slides))
        except RequestError:
            continue  # said of its slide, once that is known to be in the cohort
    return frozenset(found)


def mask_uri(text: str, slides: Uri) -> Uri:
    """A URI as it is, a path below ``slides``. Raises RequestError for what is neither."""
    return Uri.parse(text) if "://" in text else slides / text.replace("\\", "/")


def place_masks(cohort: Cohort, store: Store, slides: Uri) -> None:
    """Make each row's ``mask_uri``, as the table has it, a URI, and note its content's sha256: a URI as it is, a path below ``slides``.

    What is not there is one of the cohort's ``problems``, and so is one mask for several slides.
    """
    if not any(row.mask_uri for row in cohort.rows):
        return
    rows, missing = [], []
    for row in cohort.rows:
        placed = row
        if row.mask_uri:
            try:
                placed = _placed(row, store, slides)
            except (DataError, RequestError) as error:
                missing.append(f"{row.slide_id} ({error})")
        rows.append(placed)
    cohort.rows = tuple(rows)
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        cohort.problems.append(
            f"{len(missing)} slides have a mask in {cohort.columns.get('mask')!r} that cannot be used: {', '.join(missing[:SHOWN])}{more}: "
            f"put it there, a path below {slides} or an s3:// URI, or empty the cell for a mask that is found"
        )
    shared = [uri for uri, count in Counter(row.mask_uri for row in rows if row.mask_uri).items() if count > 1]
    if shared:
        names = ", ".join(row.slide_id for row in rows if row.mask_uri == shared[0])
        cohort.problems.append(
            f"{printable(shared[0])} is the mask of several slides ({names}): a mask is of one slide, name that one's"
        )
    own = sum(bool(row.mask_uri) for row in rows)
    cohort.notes.append(f"{own} of {len(rows)} slides have a mask of their own; the tissue of the others is found")


def _placed(row: CohortRow, store: Store, slides: Uri) -> CohortRow:
    uri = mask_uri(row.mask_uri, slides)
    if uri.scheme == "efs":
        raise DataError(f"{uri} is on EFS, which a Processing job cannot read: give an s3:// URI")
    return row.model_copy(update={"mask_uri": str(uri), "mask_sha256": hashlib.sha256(store.read(uri)).hexdigest()})
