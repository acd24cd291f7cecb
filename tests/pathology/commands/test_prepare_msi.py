"""PrepareMsi, on the real manifest and labels and on small tables."""

import os
import shutil
import subprocess
import sys

import openpyxl
import pytest
from cohorts import SLIDES, prepare, small, sparse
from msi_jobs import strict_json
from pathology.contracts.cohort import read_cohort
from pathology.contracts.errors import DataError, RequestError

MANIFEST = "s3://bucket/manifest.txt"


SMALL = {"folds": 2, "test_fraction": 0.25, "split": "stratified"}
TCGA = {"manifest": MANIFEST, "split": "stratified"}


@pytest.fixture
def tcga(store, shared_data):
    """The GDC's 459 slides as sparse files in gdc-client's layout, every second one flat; the manifest in the store."""
    manifest = shared_data / "tcga" / "gdc_manifest_tcga_coad.txt"
    shutil.copy(manifest, store / "manifest.txt")
    for number, line in enumerate(manifest.read_text().splitlines()[1:]):
        file_id, name, _, size, _ = line.split("\t")
        sparse(store / "slides" / (name if number % 2 else f"{file_id}/{name}"), int(size))
        if number % 2 == 0:
            sparse(store / "slides" / file_id / "logs" / f"{name}.parcel", 5)
    return shared_data / "tcga" / "liu_coadread_msi_only.csv"


def test_tcga_coad(tmp_path, store, tcga, capsys):
    folder = prepare(tmp_path, tcga, **TCGA)
    rows = read_cohort(folder / "cohort.csv")
    summary = strict_json(folder / "cohort.json")
    patients = {row.patient_id: row for row in rows}

    assert len(patients) == 332 == summary["patients"]
    assert sum(row.label for row in patients.values()) == 60 == summary["positives"]
    steps = {step["name"]: step for step in summary["flow"]["steps"]}
    assert [(name, step["slides"]) for name, step in steps.items()] == [("found", 459), ("matched", 340), ("labelled", 338)]
    assert steps["labelled"]["slides"] == len(rows) and steps["labelled"]["patients"] == 332
    assert {loss["reason"]: loss["slides"] for loss in steps["matched"]["lost"]} == {
        "metastasis, not among 'slide-kinds'": 1,
        "not in the label table": 118,
    }
    assert {loss["reason"]: loss["slides"] for loss in steps["labelled"]["lost"]} == {"label missing in the table": 2}
    assert not any(loss["unexpected"] for step in steps.values() for loss in step["lost"])
    assert [row.slide_id for row in rows] == sorted(row.slide_id for row in rows)
    assert summary["splits"]["test"] == {"patients": 83, "positives": 15}
    assert {fold["positives"] for fold in summary["folds"].values()} == {9}
    aa = next(row for row in rows if row.patient_id == "TCGA-AA-3692")
    assert (aa.site, aa.md5, aa.bytes) == ("AA", "33ab408ba06495e02e56f2d6ea95ffd0", 258790396)
    assert aa.slide_uri == f"{SLIDES}/dd32a0d5-139c-4786-9fb7-0db929d21a12/{aa.slide_id}.svs"
    assert {row.kind for row in rows} == {"diagnostic primary"}
    out = capsys.readouterr().out
    assert "−   118 not in the label table: TCGA-" in out and "(115 more)" in out
    assert "labelled         338 slides, 332 patients" in out


def test_the_table_may_be_lius_workbook(tmp_path, store, tcga):
    text = prepare(tmp_path / "a", tcga, **TCGA)
    book = openpyxl.Workbook()
    book.active.title = "Readme"
    sheet = book.create_sheet("Master Patient Table")
    for line in tcga.read_text().splitlines():
        sheet.append(line.split(","))
    book.save(tmp_path / "liu.xlsx")
    workbook = prepare(tmp_path / "b", tmp_path / "liu.xlsx", **TCGA)
    assert (workbook / "cohort.csv").read_bytes() == (text / "cohort.csv").read_bytes()


def test_efs_needs_a_manifest_and_lists_nothing(tmp_path, store, shared_data):
    shutil.copy(shared_data / "tcga" / "gdc_manifest_tcga_coad.txt", store / "manifest.txt")
    table = shared_data / "tcga" / "liu_coadread_msi_only.csv"
    rows = read_cohort(prepare(tmp_path, table, slides="efs://fs-1/slides", **TCGA) / "cohort.csv")
    assert rows[0].slide_uri.startswith("efs://fs-1/slides/") and rows[0].slide_uri.count("/") == 5
    with pytest.raises(RequestError, match="give a GDC manifest"):
        prepare(tmp_path, table, slides="efs://fs-1/slides")


def test_slides_of_the_manifest_that_do_not_exist(tmp_path, store, tcga):
    labelled = tcga.read_text()
    gone = [path for path in sorted((store / "slides").rglob("TCGA-A6-*.svs")) if path.name[:12] in labelled][:7]
    for path in gone:
        path.unlink()
    with pytest.raises(DataError, match=r"7 of \d+ labelled slides of the manifest are not there: s3://.*, …: download"):
        prepare(tmp_path, tcga, **TCGA)


def test_a_half_downloaded_slide_is_named(tmp_path, store, tcga):
    path = next((store / "slides").rglob("TCGA-AA-3692-*.svs"))
    os.truncate(path, 1000)
    with pytest.raises(DataError, match="TCGA-AA-3692.* has 1,000 bytes and its manifest says 258,790,396: download it again"):
        prepare(tmp_path, tcga, **TCGA)


def test_the_same_bytes_in_any_order(tmp_path, store):
    table = small(store)
    first = prepare(tmp_path / "a", table, **SMALL)
    header, *lines = table.splitlines()
    second = prepare(tmp_path / "b", "\n".join([header, *reversed(lines)]), **SMALL)
    for name in ("cohort.csv", "cohort.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    other = prepare(tmp_path / "b", table, split_seed=1, **SMALL)
    assert (first / "cohort.csv").read_bytes() != (other / "cohort.csv").read_bytes()


def test_na_is_missing_and_other_labels_are_counted(tmp_path, store, capsys):
    table = small(store, 15).replace("P13,MSS", "P13,NA").replace("P14,MSS", "P14,Indeterminate").replace("P12,MSS", "P12,")
    folder = prepare(tmp_path, table, **SMALL)
    assert len(read_cohort(folder / "cohort.csv")) == 12
    lost = strict_json(folder / "cohort.json")["flow"]["steps"][2]["lost"]
    assert {loss["reason"]: loss["names"] for loss in lost} == {
        "label missing in the table": ["P12", "P13"],
        "label Indeterminate is neither positive nor negative": ["P14"],
    }
    assert "P14" in capsys.readouterr().out


def test_names_that_are_not_barcodes(tmp_path, store):
    """The slide column wins, then the longest patient id that the name starts with, up to a separator."""
    names = ["case1", "case1_b", "case10-A", "case2", "slide-x", "case11"]
    for name in [*names, *[f"N{number}" for number in range(6)]]:
        sparse(store / "slides" / f"{name}.tif", 10)
    table = "slide_id\tpatient_id\tlabel\tsite\tmpp\n"
    table += "slide-x.tif\tX\tMSI-H\tlab 1\t0.25\n\tcase1\tMSI-H\t\t\n\tcase10\tMSI-H\t\tNA\n\tcase2\tMSI-H\t\t\n"
    table += "".join(f"\tN{number}\tMSS\t\t\n" for number in range(6))
    rows = {row.slide_id: row for row in read_cohort(prepare(tmp_path, table, **SMALL) / "cohort.csv")}
    assert {name: rows[name].patient_id for name in names[:5]} == {
        "case1": "case1", "case1_b": "case1", "case10-A": "case10", "case2": "case2", "slide-x": "X",
    }  # fmt: skip
    assert "case11" not in rows
    assert (rows["slide-x"].mpp, rows["slide-x"].site) == (0.25, "lab 1")
    assert rows["case10-A"].mpp is None


def test_patients_stay_whole(tmp_path, store):
    table = small(store)
    for number in range(12):
        sparse(store / "slides" / "more" / f"P{number:02d}-2.svs", 10)
    rows = read_cohort(prepare(tmp_path, table, **SMALL) / "cohort.csv")  # refuses a patient on two sides
    assert len(rows) == 24


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            lambda t: t.replace("label", "status"),
            {},
            r"labels.csv has no column that names the label, only 'patient_id' \(the patient\), 'status': name it with 'label-column' \(LabelColumn\)",
        ),
        (
            lambda t: t.replace("patient_id", "who"),
            {},
            r"labels.csv has no column that names the patient, only 'who', 'label' \(the label\): name it with 'patient-column'",
        ),
        (lambda t: t, {"label_column": "MSI"}, r"no label column 'MSI', only"),
        (lambda t: t + "P01,MSS\n", {}, r"labels.csv, line 14: patient P01 is duplicated, as MSI-H and as MSS"),
        (
            lambda t: t.replace("MSI-H", "MSS"),
            {},
            r"no label in 'label' is positive \(MSI-H\): the values are MSS \(12\): name those",
        ),
        (lambda t: t, {"folds": 4}, r"4 positive and 8 negative patients are too few for 4 folds"),
        (lambda t: t, {"slides": "s3://bucket/nowhere"}, r"s3://bucket/nowhere holds no slide"),
        (lambda t: t, {"manifest": "s3://bucket/gone.txt"}, r"s3://bucket/gone.txt: there is no such object"),
        (lambda t: t + "P01,MSI-H,surplus\n", {}, r"line 14: 3 values under 2 columns"),
        (lambda t: "", {}, r"labels.csv: the table is empty"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, store, change, settings, message):
    table = change(small(store))
    with pytest.raises(DataError, match=message) as caught:
        prepare(tmp_path, table, **{**SMALL, **settings})
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "ml").rglob("cohort.csv"))


def test_one_slide_in_two_formats(tmp_path, store):
    table = small(store)
    sparse(store / "slides" / "P03.tiff", 10)
    with pytest.raises(DataError, match=r"slide P03 is duplicated, s3://bucket/slides/P03.svs and s3://bucket/slides/P03.tiff"):
        prepare(tmp_path, table, **SMALL)


def test_preparing_needs_no_torch():
    code = "import sys, pathology.commands.prepare_msi as p, sklearn.model_selection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
