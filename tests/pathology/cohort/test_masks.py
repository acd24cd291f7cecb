"""Masks of a person's own: named in the label table, found below the slides or by URI, refused where they are not."""

import hashlib

import pytest
from cohorts import SLIDES, SPLIT, prepare, refused, slides, summary
from pathology.contracts.cohort import read_cohort


def table(column, masks, count=24):
    lines = [f"patient_id,slide_id,{column},label"]
    lines += [f"P{n:02d},S{n:02d},{masks.get(n, '')},{'MSI-H' if n % 3 == 0 else 'MSS'}" for n in range(count)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def stored(store):
    """24 slides, and masks below them and elsewhere."""
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    for name in ("slides/masks/S00.geojson", "other/S02.png"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(name.encode())
    return store


@pytest.mark.parametrize("column", ["mask", "Mask URI", "tissue_mask", "GeoJSON"])
def test_masks_are_found_and_named_by_content(tmp_path, stored, column):
    masks = {0: "masks/S00.geojson", 1: "masks/S01.tif", 2: "s3://bucket/other/S02.png", 3: "NA"}
    # A TIFF named as its slide is, where slides are looked for, is no slide.
    (stored / "slides/masks/S01.tif").write_bytes(b"a tif")
    folder = prepare(tmp_path, table(column, masks), **SPLIT)
    rows = {row.slide_id: row for row in read_cohort(folder / "cohort.csv")}
    assert len(rows) == 24 and sum(bool(row.mask_uri) for row in rows.values()) == 3
    assert rows["S00"].mask_uri == f"{SLIDES}/masks/S00.geojson" and rows["S02"].mask_uri == masks[2]
    assert rows["S01"].mask_sha256 == hashlib.sha256(b"a tif").hexdigest()
    assert summary(folder)["notes"][-1].startswith("3 of 24 slides have a mask of their own")
    assert summary(folder)["columns"]["mask"] == column


def test_a_cohort_without_masks_has_no_column_of_them(tmp_path, store):
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    assert "mask" not in (prepare(tmp_path, table("mask", {}), **SPLIT) / "cohort.csv").read_text()


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            {0: "masks/none.geojson", 4: "nowhere.png"},
            "2 slides have a mask in 'mask' that cannot be used: S00 (s3://bucket/slides/",
        ),
        ({0: "efs://fs-1/S00.png"}, "on EFS, which a Processing job cannot read"),
        ({0: "../secret.png"}, "climbs out of its root"),
        ({0: "https://host/S00.png"}, "is not a valid URI"),
        ({0: "masks/S00.geojson", 1: "masks/S00.geojson"}, "is the mask of several slides (S00, S01)"),
    ],
)
def test_masks_that_are_missing_elsewhere_or_shared_are_refused(tmp_path, stored, masks, message):
    assert message in refused(tmp_path, table("mask", masks))


def test_two_masks_of_one_slide_are_refused(tmp_path, stored):
    text = table("mask", {0: "masks/S00.geojson"}) + "P00,S00,s3://bucket/other/S02.png,MSI-H\n"
    assert "S00 has two masks" in refused(tmp_path, text).replace("s00", "S00")
