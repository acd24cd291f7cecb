"""What is said of slides and tiles: how many the model saw, which were lost and why, where scales come from."""

import numpy as np
import pytest
from msi_jobs import slide_row
from pathology.contracts.cohort import CohortRow
from pathology.contracts.msi.evaluate import LossRow, ScaleRow, TilesRead
from pathology.tasks.msi.slides import figures, read_otherwise, total_tiles
from pathology.wsi.features import Features


def file_with(pooled, found=None, failed=None):
    """A feature file of so many tiles; what it says of those found and failed, where it does."""
    counts = {} if found is None else {"tiles_with_tissue": found, "tiles_failed": failed}
    return Features(np.zeros((pooled, 2)), np.zeros((pooled, 2)), np.ones(pooled), counts)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([file_with(5, 5, 0), file_with(7, 7, 0)], (12, 12, 0, 0)),
        ([file_with(5, 5, 0), file_with(7, 70, 0)], (12, 75, 0, 1)),
        ([file_with(5, 8, 3)], (5, 8, 3, 0)),  # nothing was left out: three could not be decoded
        ([file_with(5, 9, 3)], (5, 9, 3, 1)),
        ([file_with(5, 5, 0), file_with(7)], (12, None, None, None)),
    ],
)
def test_tiles_are_counted_by_what_extraction_noted(files, expected):
    from pathology.tasks.msi.serving import Tiles

    assert Tiles.of(files) == Tiles(*expected)


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ((1200, 1200, 0, 0), "all 1,200 tissue tiles"),
        ((300, 1200, 0, 3), "300 of the 1,200 tissue tiles (of 3 slides a sample was taken)"),
        ((1199, 1200, 1, 0), "1,199 of the 1,200 tissue tiles (1 tile could not be decoded)"),
        ((290, 1200, 10, 1), "290 of the 1,200 tissue tiles (of 1 slide a sample was taken; 10 tiles could not be decoded)"),
        ((1200, None, None, None), "1,200 tiles"),
    ],
)
def test_all_is_said_of_all_only(tiles, words):
    from pathology.tasks.msi.report import tiles_in_words

    assert tiles_in_words(TilesRead(**dict(zip(TilesRead.model_fields, tiles, strict=True)))) == words


def test_the_sum_over_patients_is_unknown_where_one_is():
    known = TilesRead(pooled=2, with_tissue=3, failed=1, sampled=0)
    assert total_tiles([known, known]) == TilesRead(pooled=4, with_tissue=6, failed=2, sampled=0)
    unknown = TilesRead(pooled=1, with_tissue=None, failed=None, sampled=None)
    assert total_tiles([known, unknown]) == TilesRead(pooled=3, with_tissue=None, failed=None, sampled=None)


def test_slides_that_were_not_read_as_they_say_are_counted_for_the_report():
    plain = slide_row("a")
    assert read_otherwise([plain]) == []
    (line,) = read_otherwise(
        [
            plain,
            *(
                slide_row(name).model_copy(update={"warnings": said})
                for name, said in (("b", "level 3 is not read"), ("c", "it is padded"))
            ),
        ]
    )
    assert "warnings for 2 slides" in line and "the first is b: level 3 is not read" in line


def cohort_row(slide_id, split):
    """A labelled slide."""
    values = {"slide_id": slide_id, "patient_id": slide_id, "split": split, "fold": 0 if split == "train" else None, "label": 1}
    rest = dict.fromkeys(CohortRow.model_fields, "")
    return CohortRow.model_validate({**rest, "bytes": 1, **values})


SLIDES = [
    slide_row("a", tiles=10).model_copy(update={"mpp": 0.25, "mpp_source": "vendor", "failed_tiles": 2}),
    slide_row("b", tiles=20).model_copy(update={"mpp": 0.5, "mpp_source": "vendor"}),
    slide_row("c", tiles=30).model_copy(update={"mpp": 0.46, "mpp_source": "cohort", "failed_tiles": 1}),
    slide_row("d", "failed").model_copy(update={"reason": "no scale", "mpp_source": "", "mpp": None}),
    slide_row("e", "failed").model_copy(update={"reason": "no scale", "mpp_source": "", "mpp": None}),
    slide_row("f", "empty").model_copy(update={"reason": "no tissue"}),
    slide_row("x", tiles=99),  # of the other side
]


def test_slides_are_counted_by_reason_and_scale():
    cohort = [cohort_row(row.slide_id, "train" if row.slide_id == "x" else "test") for row in SLIDES]
    side = figures(cohort, SLIDES, "test")
    assert (side.slides, side.with_features, side.tiles, side.failed_tiles, side.slides_with_failed_tiles) == (6, 3, 60, 3, 2)
    assert side.scales == [
        ScaleRow(source="vendor", slides=2, low=0.25, high=0.5),
        ScaleRow(source="cohort", slides=1, low=0.46, high=0.46),
    ]
    assert side.losses == [
        LossRow(status="failed", reason="no scale", slides=2),
        LossRow(status="empty", reason="no tissue", slides=1),
    ]
    assert figures(cohort, SLIDES, "train").tiles == 99


def test_the_table_of_slides_has_both_sides():
    from types import SimpleNamespace

    from pathology.tasks.msi.report import slide_rows

    cohort = [cohort_row(row.slide_id, "train" if row.slide_id in "xb" else "test") for row in SLIDES]
    block = SimpleNamespace(sides={split: figures(cohort, SLIDES, split) for split in ("train", "test")})
    assert slide_rows(block) == [
        ("in the cohort", "2", "5"),
        ("with features", "2", "2"),
        ("failed: no scale", "–", "2"),
        ("empty: no tissue", "–", "1"),
        ("tiles", "119", "40"),
        ("tiles that could not be decoded", "–", "3 on 2 slides"),
        ("scale aperio", "1 slide, 0.5 µm/px", "–"),
        ("scale from the scanner's own fields", "1 slide, 0.5 µm/px", "1 slide, 0.25 µm/px"),
        ("scale from the cohort table", "–", "1 slide, 0.46 µm/px"),
    ]
