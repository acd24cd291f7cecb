"""The places that patients had in an earlier cohort."""

from __future__ import annotations

import io

import pandas as pd

from pathology.contracts.errors import DataError
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri

COLUMNS = ("patient_id", "split", "fold")


def read_places(store: Store, uri: Uri) -> dict[str, int | None]:
    """Each patient's fold, None for the test set, from a cohort.csv of this or an earlier version.

    Raises:
        DataError: when it is not one, or a patient has two places.
    """
    try:
        table = pd.read_csv(io.BytesIO(store.read(uri)), dtype=str, keep_default_na=False)
        table = table[list(COLUMNS)].drop_duplicates()
    except (KeyError, ValueError) as error:
        raise DataError(f"{uri} is not a cohort.csv, which has the columns {', '.join(COLUMNS)} ({error})") from None
    places: dict[str, int | None] = {}
    for name, split, fold in table.itertuples(index=False):
        if name in places or not ((split == "test" and fold == "") or (split == "train" and fold.isdecimal())):
            raise DataError(f"{uri}: patient {name} has two places, or one that is neither test nor a fold of train")
        places[name] = None if split == "test" else int(fold)
    return places
