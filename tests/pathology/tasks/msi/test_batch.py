"""Batches of slides without labels: whose each is, what is left out, and what cannot be a batch."""

import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.msi.prepare_slides import PrepareSlidesMsiJob
from pathology.contracts.storage import FolderStore
from pathology.tasks.msi.batch import find_batch, rows

BARCODED = ("TCGA-AA-3692-01Z-00-DX1.svs", "tcga-aa-3692-01Z-00-DX2.svs", "TCGA-AA-3692-01A-01-TS1.svs")


@pytest.fixture
def batch(store, tmp_path):
    """``batch(files…)``: the batch of these files, each of 5 bytes, in s3://bucket/slides."""

    def found(*names, tables=None, **settings):
        for name in names:
            path = store / "slides" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"slide")
        for name, text in (tables or {}).items():
            (store / name).write_text(text)
        given = {"slides": "s3://bucket/slides", **settings}
        job = PrepareSlidesMsiJob(features="s3://bucket/f", group="g", version="approved", prepared="s3://bucket/p", **given)
        return find_batch(FolderStore(store.parents[1]), job, tmp_path / "scratch")

    return found


def whose(found):
    return {slide.slide_id: patient for slide, patient in zip(found.slides, found.patients, strict=True)}


def test_a_barcode_names_the_patient_and_other_slides_stand_alone_which_is_said(batch):
    found = batch(*BARCODED, "a.svs", "b.czi")
    assert whose(found) == {
        "TCGA-AA-3692-01Z-00-DX1": ("TCGA-AA-3692", "barcode"),
        "tcga-aa-3692-01Z-00-DX2": ("TCGA-AA-3692", "barcode"),
        "a": ("a", "slide"),
    }
    assert found.batch.patient_by == {"barcode": 2, "slide": 1}
    assert (found.batch.slides, found.batch.patients) == (3, 2)
    assert [(one.name, one.reason) for one in found.batch.left_out] == [
        ("b.czi", "Zeiss CZI, a format that is not read"),
        (BARCODED[2], "frozen, not among 'slide-kinds'"),
    ]
    assert "1 slides name no patient" in found.batch.warnings[0]


def test_a_table_says_whose_slides_are_and_leaves_the_others_out(batch):
    table = "slide_id,patient_id,mpp\na.svs,P1,0.25\nB,P1,\nz,P9,\n"
    found = batch("a.svs", "b.svs", "c.svs", tables={"who.csv": table}, patients="s3://bucket/who.csv")
    assert whose(found) == {"a": ("P1", "table"), "b": ("P1", "table")}
    assert [(one.name, one.reason) for one in found.batch.left_out] == [("c.svs", "not in the table of patients")]
    assert found.scales == {"a": 0.25}
    assert "1 slides of the table of patients are not in the batch (z)" in found.batch.warnings
    assert [row.patient_id for row in rows(found, ["x", "y"])] == ["P1", "P1"]


def test_slides_of_several_folders_are_named_by_a_table_and_none_takes_anothers_id(batch):
    table = "slide,patient\ns3://bucket/slides/x/a.svs,P1\ns3://bucket/slides/y/a.svs,P2\nslides/b.svs,P2\nslides/gone.svs,P3\n"
    found = batch("x/a.svs", "y/a.svs", "b.svs", "c.svs", tables={"list.csv": table}, slides="s3://bucket/list.csv")
    names = whose(found)
    assert sorted(patient for patient, _ in names.values()) == ["P1", "P2", "P2"]
    assert len(names) == 3 and "b" in names and all(name.startswith("a-") for name in names if name != "b")
    assert [one.name for one in found.batch.left_out] == ["s3://bucket/slides/gone.svs"]


def test_a_name_that_may_be_two_slides_is_refused(batch):
    table = {"who.csv": "slide,patient\nx/a.svs,P1\n"}
    with pytest.raises(DataError, match="who.csv: x/a may be s3://bucket/slides/1/x/a.svs or s3://bucket/slides/2/x/a.svs"):
        batch("1/x/a.svs", "2/x/a.svs", tables=table, patients="s3://bucket/who.csv")


def test_pictures_beside_slides_are_thumbnails(batch):
    found = batch("a.svs", "a.png")
    assert list(whose(found)) == ["a"]
    assert len(found.batch.left_out) == 1


@pytest.mark.parametrize(
    ("files", "table", "words"),
    [
        ((), None, "holds no slide"),
        (("b.czi",), None, "1 Zeiss CZI files, which are not read"),
        ((BARCODED[2],), None, "none of the slides there is taken"),
        (("a.svs",), "slide_id,patient_id\na,P1\na.svs,P2\n", "a.svs is of P2, and of P1 before"),
        (("a.svs",), "slide_id,patient_id\na,\n", "line 2: the patient '' has no character"),
        (("a.svs",), "slide_id,patient_id,mpp\na,P1,40\n", "'40' is no scale"),
        (("a.svs",), "slide_id,label\na,1\n", "who.csv"),
        (("a.svs",), "slide_id,patient_id\nother,P1\n", "none of the slides there is taken"),
    ],
)
def test_what_cannot_be_a_batch_is_said_in_one_line(batch, files, table, words):
    tables = {} if table is None else {"who.csv": table}
    settings = {} if table is None else {"patients": "s3://bucket/who.csv"}
    with pytest.raises(DataError, match=words) as error:
        batch(*files, tables=tables, **settings)
    assert "\n" not in str(error.value)
