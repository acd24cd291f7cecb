"""From files as hospitals have them to slides.csv: Prepare, extraction and collection, on a file system and on S3."""

import json

import boto3
import numpy as np
import pytest
import tifffile
from cohorts import prepare
from extraction_jobs import FEATURES, Jobs
from made_slides import small_slides
from mrxs import write_mrxs
from pathology.contracts.cohort import SlideRow, read_cohort
from pathology.contracts.storage import S3Store
from pathology.contracts.uris import Uri
from pathology.wsi.readers import open_slide
from PIL import Image

from demo.slides import write_svs

NAMES = [
    "Müller, Anna (HE).svs",
    "B-23&14 [A1]; #2 50%+.svs",
    "2023/x.svs",
    "2024/x.svs",
    "P 05.mrxs",
    "Größe.png",
    "gestreift.tif",
    "y" * 200 + "ß.svs",
]
TABLE = "slide,patient,label,mpp,fold\n" + "".join(
    f'"{name}",Q{n},{"MSI-H" if n % 2 else "MSS"},{"" if n == 4 else 0.5},{"test" if n % 4 >= 2 else n // 4}\n'
    for n, name in enumerate(NAMES)
)
SPLIT = {"split": "given", "split_column": "fold", "folds": 2}


def write_slides(folder) -> None:
    """One painted slide under each name, in the format of its suffix."""
    slide = open_slide(small_slides() / "s0.svs")
    pixels = slide.read_region(150, 150, 576, 576, 0)
    slide.close()
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        own = np.roll(pixels, 60 * number, axis=1)
        match path.suffix:
            case ".mrxs":
                write_mrxs(path, own)
            case ".png":
                Image.fromarray(own).save(path, compress_level=1)
            case ".tif":
                tifffile.imwrite(path, own, photometric="rgb", rowsperstrip=16)
            case _:
                write_svs(path, own)


@pytest.fixture(params=["folder", "s3"])
def jobs(tmp_path, store, request, monkeypatch):
    """Jobs whose slides lie in s3://bucket/slides: in a folder, or in S3 itself."""
    from moto import mock_aws

    write_slides(store / "slides")
    with Jobs(tmp_path) as made, mock_aws():
        if request.param == "s3":
            client = boto3.client("s3", region_name="us-east-1")
            client.create_bucket(Bucket="bucket")
            on_s3 = S3Store(client)
            for path in store.rglob("*"):
                if path.is_file():
                    on_s3.upload(path, Uri("s3", "bucket", path.relative_to(store).as_posix()))
            for command in ("prepare_msi", "extract_features", "collect_features"):
                monkeypatch.setattr(f"pathology.commands.{command}.open_store", lambda: on_s3)
            made.store = on_s3
        yield made


def test_every_file_has_its_features_under_its_id(tmp_path, jobs):
    folder = prepare(tmp_path / "prepare", TABLE, jobs.store, **SPLIT)
    jobs.cohort = rows = read_cohort(folder / "cohort.csv")
    assert {row.slide_uri: row.patient_id for row in rows} == {
        f"s3://bucket/slides/{name}": f"Q{n}" for n, name in enumerate(NAMES)
    }
    code, output, errors = jobs.extract(hosts=("algo-1",))
    assert code == 0, output + errors
    assert "8 slides extracted (0 failed)" in output, output
    code, output, errors = jobs.collect()
    assert code == 0, output + errors

    collected = json.loads((jobs.root("collect-1") / "processing/output/slides/collected.json").read_text())
    (tmp_path / "slides.csv").write_bytes(jobs.store.read(Uri.parse(collected["slides"]["uri"]) / "slides.csv"))
    slides = {slide.slide_id: slide for slide in SlideRow.read(tmp_path / "slides.csv")}
    assert set(slides) == {row.slide_id for row in rows}
    made = {entry.uri.name for entry in jobs.store.list(Uri.parse(FEATURES))}
    for row in rows:
        slide = slides[row.slide_id]
        assert (slide.status, slide.reason) == ("ok", "") and slide.tiles >= 1
        assert made >= {f"{row.slide_id}.{suffix}" for suffix in ("h5", "json", "geojson", "jpg")}
    below = [entry.uri for entry in jobs.store.list(Uri.parse(FEATURES))]
    sidecars = [uri for uri in below if uri.name.endswith(".json") and uri.parent.name != "cohorts"]
    read = {sidecar["slide_id"]: sidecar["reader"] for sidecar in (json.loads(jobs.store.read(uri)) for uri in sidecars)}
    readers = {row.slide_uri.rpartition(".")[2]: read[row.slide_id] for row in rows}
    assert (readers["mrxs"], readers["png"], readers["tif"]) == ("openslide", "flat", "flat")

    # The same ids again, and nothing left to do.
    again = read_cohort(prepare(tmp_path / "again", TABLE, jobs.store, **SPLIT) / "cohort.csv")
    assert again == rows
    code, output, errors = jobs.extract("extract-2", hosts=("algo-1",))
    assert code == 0 and "0 slides extracted (0 failed), 8 finished before" in output, output + errors


@pytest.mark.parametrize("jobs", ["folder"], indirect=True)
@pytest.mark.parametrize("change", ["more", "less", "other"])
def test_a_folder_of_an_mrxs_that_changed_is_another_slide(tmp_path, store, jobs, change):
    jobs.cohort = [
        row for row in read_cohort(prepare(tmp_path / "prepare", TABLE, jobs.store, **SPLIT) / "cohort.csv") if row.companion
    ]
    data = store / "slides" / "P 05" / "Data0000.dat"
    if change == "more":
        (data.parent / "Data0001.dat").write_bytes(b"")
    elif change == "less":
        data.unlink()
    else:
        data.write_bytes(data.read_bytes()[:-1] + b"!")
    code, output, errors = jobs.extract(hosts=("algo-1",))
    assert code == 0 and "1 slides extracted (1 failed)" in output, output + errors
    assert "its folder s3://bucket/slides/P 05 is not as it was when the cohort was made" in jobs.sidecar("P 05")["reason"]
    left = list((jobs.root("extract-1")).rglob("*.mrxs")) + list(jobs.root("extract-1").rglob("Slidedat.ini"))
    assert not left
    if change == "other":
        jobs.cohort = [
            row for row in read_cohort(prepare(tmp_path / "b", TABLE, jobs.store, **SPLIT) / "cohort.csv") if row.companion
        ]
        assert "1 slides extracted (0 failed)" in jobs.extract("extract-2", hosts=("algo-1",))[1]
