"""The demo's slides: real SVS files, a table in Liu's columns, the same bytes from the same seed."""

import csv
import hashlib
import re

import numpy as np
import pytest
import tifffile
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import plan_slide
from pathology.wsi.mpp import Scale

from demo.slides import SEPARATION, Patient, _look, make_slides

NAME = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})-01Z-00-DX[12]\.[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\.svs\Z")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("demo")
    make_slides(top / "slides", top / "labels.csv", patients=4, positives=2, seed=3, workers=2)
    return top


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_lius_and_has_what_real_tables_have(made):
    rows = table(made / "labels.csv")
    assert list(rows[0]) == ["TCGA Participant Barcode", "TCGA Project Code", "MSI Status"]
    statuses = [row["MSI Status"] for row in rows]
    assert statuses.count("MSI-H") == 2 and statuses.count("NA") == 1 and "MSI-L" in statuses
    slides = {NAME.match(path.name)[1] for path in (made / "slides").iterdir()}
    barcodes = [row["TCGA Participant Barcode"] for row in rows]
    assert len(set(barcodes)) == len(barcodes) == 6
    assert set(barcodes) - slides == {barcodes[-1]} and slides <= set(barcodes)
    assert len({barcode[5:7] for barcode in barcodes}) > 1


def test_slides_are_aperio_pyramids_with_tissue_on_glass(made):
    for path in sorted((made / "slides").iterdir()):
        with tifffile.TiffFile(path) as file:
            assert file.pages[0].compression == 7 and file.pages[0].tilewidth == 240
            assert "AppMag = 20|MPP = 0.5000" in file.pages[0].description
        plan = plan_slide(path, Tiling())
        assert plan.scale == Scale(0.5, "vendor")
        assert [level.downsample for level in plan.slide.levels] == [1, 4]
        assert 20 <= len(plan.grid) <= 60
        corner = plan.slide.read_region(0, 0, 40, 40, 0)
        assert corner.min() > 225
        plan.slide.close()


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    def digests(folder):
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    make_slides(tmp_path / "slides", tmp_path / "labels.csv", patients=4, positives=2, seed=3, workers=1)
    assert digests(tmp_path / "slides") == digests(made / "slides")
    assert (tmp_path / "labels.csv").read_bytes() == (made / "labels.csv").read_bytes()


def test_the_classes_overlap_and_differ_as_said():
    looks = {
        status: np.log([_look(Patient("x", status, 1, seed)).lymphocytes for seed in range(2000)]) for status in ("MSI-H", "MSS")
    }
    spread = np.sqrt((looks["MSI-H"].var() + looks["MSS"].var()) / 2)
    distance = (looks["MSI-H"].mean() - looks["MSS"].mean()) / spread
    assert distance == pytest.approx(SEPARATION / np.hypot(1, 0.15 / 0.6), abs=0.15)
    above = (looks["MSI-H"][:, None] > looks["MSS"][None, :]).mean()
    assert 0.85 < above < 0.98


def test_a_cohort_of_one_class_is_refused(tmp_path):
    with pytest.raises(ValueError, match="both classes"):
        make_slides(tmp_path, tmp_path / "l.csv", patients=3, positives=3)
