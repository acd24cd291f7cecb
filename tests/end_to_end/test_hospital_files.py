"""The msi pipeline whole on files as hospitals have them: names, an MRXS, a picture, and formats that are not read."""

import csv
import json

import numpy as np
import pytest
from laptop import Laptop
from PIL import Image

from demo.slides import Look, paint, write_svs
from tests.pathology.mrxs import write_mrxs

NAMES = [
    "Müller, Anna (HE).svs",
    "B-23&14 [A1]; #2 50%+ <x>.svs",
    "2023/x.svs",
    "2024/x.svs",
    "P 05.mrxs",
    "Größe.png",
    *(f"Fall {number}.svs" for number in range(6, 16)),
]
SIDE = 576

pytestmark = pytest.mark.slow


def write_slides(laptop: Laptop) -> None:
    """A slide for each name, a patient each; labels take turns."""
    whole = paint(Look(800, 0.7, 1, 1), np.random.default_rng(3))
    lines = [["slide", "patient", "label", "mpp"]]
    for number, name in enumerate(NAMES):
        x, y = 300 + 200 * (number % 4), 300 + 200 * (number // 4)
        pixels, path = whole[y : y + SIDE, x : x + SIDE], laptop.path(f"slides/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        match path.suffix:
            case ".mrxs":
                write_mrxs(path, pixels)
            case ".png":
                Image.fromarray(pixels).save(path)
            case _:
                write_svs(path, pixels, mpp=0.499)
        lines.append([name, f"Patient {number}", "MSI-H" if number % 2 else "MSS", "0.5" if path.suffix == ".png" else ""])
    laptop.path("slides/unread.czi").write_bytes(b"x")
    with laptop.path("labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)


def test_the_pipeline_on_such_files(tmp_path):
    values = {
        "Epochs": "3", "TilesPerBag": "20", "MinAuroc": "0", "Precision": "float32", "ManifestUri": "none",
        "ExtractInstanceCount": "2", "Split": "stratified", "MaxLeftOutFraction": "0.1",
    }  # fmt: skip
    uris = {"SlidesUri": "slides", "LabelsUri": "labels.csv", "EncoderUri": "tiny", "FeaturesUri": "features"}
    laptop = Laptop(tmp_path / "state", "msi", {**values, **{name: f"s3://local/{key}" for name, key in uris.items()}})
    write_slides(laptop)
    laptop.run_first()
    first = (tmp_path / "first.txt").read_text()
    assert "found             17 slides" in first and "1 Zeiss CZI files, a format that is not read: unread.czi" in first
    report = next((tmp_path / "state").rglob("report.html")).read_text()
    with next((tmp_path / "state").rglob("predictions.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    named = {row["patient_id"]: row["slide_uris"] for row in rows}
    assert rows and all(
        named[patient].replace("%3B", ";") == f"s3://local/slides/{NAMES[int(patient.removeprefix('Patient '))]}"
        for patient in named
    )
    assert "<x>.svs" not in report
    assert len(list(laptop.path("features").rglob("*.h5"))) == len(NAMES)
    outlines = [json.loads(path.read_text()) for path in laptop.path("features").rglob("*.geojson")]
    assert len(outlines) == len(NAMES)
    again = laptop.start()
    assert again.returncode == 0, again.stdout + again.stderr
    assert {"TrainMsi", "EvaluateMsi"} <= laptop.cached()
