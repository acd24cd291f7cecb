"""Files as hospitals have them: their names, MRXS and its folder, pictures, and formats that are not read."""

import json
import unicodedata

import pytest
from cohorts import SPLIT, losses, prepare, refused, slides, small, sparse, summary
from pathology.cohort.slides import find_slides
from pathology.contracts.cohort import read_cohort
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

NAMES = ["Müller (HE)", "B-23&14 [A1]", "P 07; Block #2 100%", "Nguyễn", "_P01", "x" * 230]


def rows_of(folder) -> dict:
    return {row.slide_uri.removeprefix("s3://bucket/slides/"): row for row in read_cohort(folder / "cohort.csv")}


# Names


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_hospitals_are_matched_and_kept(tmp_path, store, form):
    table = "slide,patient,label,mpp\n" + "".join(f"P{n:02d}.svs,P{n:02d},{'MSI-H' if n < 8 else 'MSS'},\n" for n in range(18))
    slides(store, [f"P{n:02d}.svs" for n in range(18)])
    slides(store, [f"{unicodedata.normalize(form, name)}.svs" for name in NAMES])
    table += "".join(f'"{name}.svs",Q{number},MSS,0.3\n' for number, name in enumerate(NAMES))
    rows = rows_of(prepare(tmp_path, table, **SPLIT))
    for number, name in enumerate(NAMES):
        stored = unicodedata.normalize(form, name)
        row = rows[f"{stored}.svs"]
        assert (row.patient_id, row.mpp, row.name) == (f"Q{number}", 0.3, stored)
    assert rows["P00.svs"].slide_id == "P00" and rows["P00.svs"].name == ""
    again = rows_of(prepare(tmp_path / "again", table, **SPLIT))
    assert again == rows


def in_folders(store, *, table: str) -> str:
    """Twelve slides of twelve patients, and a slide x in each of the folders a and b; a table of slides with these rows."""
    slides(store, [f"P{n:02d}.svs" for n in range(12)])
    slides(store, ["a/x.svs", "b/x.svs"])
    return "slide,patient,label\n" + "".join(f"P{n:02d},P{n:02d},{'MSI-H' if n < 4 else 'MSS'}\n" for n in range(12)) + table


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("a/x.svs", "b/x.svs"),
        ("a/x", "b/x"),
        ("a\\x.svs", "b\\x.svs"),
        ("s3://bucket/slides/a/x.svs", "s3://bucket/slides/b/x.svs"),
    ],
)
def test_folders_in_the_table_tell_slides_of_one_name_apart(tmp_path, store, one, two):
    rows = rows_of(prepare(tmp_path, in_folders(store, table=f"{one},A,MSS\n{two},B,MSI-H\n"), **SPLIT))
    assert (rows["a/x.svs"].patient_id, rows["b/x.svs"].patient_id) == ("A", "B")
    assert rows["a/x.svs"].slide_id != rows["b/x.svs"].slide_id


@pytest.mark.parametrize("listed", ["a/x.svs", "a/x", "slides/a/x.svs"])
def test_a_list_with_folders_leaves_the_other_out(tmp_path, store, listed):
    folder = prepare(tmp_path, in_folders(store, table=f"{listed},A,MSS\n"), **SPLIT)
    assert "b/x.svs" not in rows_of(folder)
    assert losses(folder) == {"not among the slides that the label table lists": ["b/x.svs"]}


@pytest.mark.parametrize("listed", ["x.svs", "x", "D:\\export\\x.svs"])
def test_a_name_that_two_files_have_is_asked_about(tmp_path, store, listed):
    message = refused(tmp_path, in_folders(store, table=f"{listed},A,MSS\n"))
    assert "may be a/x.svs, b/x.svs: write the folder and the extension before each name" in message


def test_one_file_and_two_patients_of_its_name(tmp_path, store):
    table = in_folders(store, table="d1/x.svs,A,MSS\nd2/x.svs,B,MSS\n")
    (store / "slides" / "b" / "x.svs").unlink()
    assert "of the table may be a/x.svs" in refused(tmp_path, table)


def test_a_table_of_patients_takes_slides_of_one_name_and_says_so(tmp_path, store, capsys):
    table = small(store)
    slides(store, ["2023/P03.svs"])
    rows = rows_of(prepare(tmp_path, table, **SPLIT))
    assert rows["2023/P03.svs"].patient_id == rows["P03.svs"].patient_id == "P03"
    assert (
        "2 slides have the name of another one in another folder and count each: 2023/P03.svs, P03.svs" in capsys.readouterr().out
    )


def test_slides_are_listed_once_however_many_they_are(tmp_path):
    class Counting(FolderStore):
        calls = 0

        def list(self, uri):
            Counting.calls += 1
            return super().list(uri)

    folder = tmp_path / "s3" / "bucket" / "slides"
    for name in [
        *(f"{n} ä.svs" for n in range(20)),
        *(f"m{n}.mrxs" for n in range(5)),
        *(f"m{n}/Slidedat.ini" for n in range(5)),
    ]:
        sparse(folder / name)
    assert len(find_slides(Counting(tmp_path), Uri.parse("s3://bucket/slides"), None).slides) == 25
    assert Counting.calls == 1


# MRXS


def mrxs(store, name: str = "M", files=("Slidedat.ini", "Index.dat", "Data0000.dat")) -> str:
    """A table of twelve slides and a patient M, whose slide is an MRXS with these files in its folder."""
    slides(store, [f"{name}.mrxs", *(f"{name}/{file}" for file in files)])
    return small(store) + "M,MSS\n"


def test_an_mrxs_counts_once_with_all_its_bytes(tmp_path, store):
    folder = prepare(tmp_path, mrxs(store, "M 1"), **SPLIT)
    row = rows_of(folder)["M 1.mrxs"]
    assert (row.patient_id, row.bytes, len(row.companion)) == ("M", 40, 32)
    assert summary(folder)["flow"]["steps"][0]["slides"] == 13
    sparse(store / "slides" / "M 1" / "Data0000.dat", 11)
    changed = rows_of(prepare(tmp_path / "b", small(store) + "M,MSS\n", **SPLIT))["M 1.mrxs"]
    assert changed.bytes == 41 and changed.companion != row.companion


@pytest.mark.parametrize("files", [(), ("Data0000.dat",), ("sub/Slidedat.ini",)])
def test_an_mrxs_without_its_folder_is_refused(tmp_path, store, files):
    message = refused(tmp_path, mrxs(store, files=files))
    assert "slide M: s3://bucket/slides/M.mrxs needs the folder s3://bucket/slides/M with Slidedat.ini" in message


def test_an_mrxs_without_its_folder_and_without_a_label_stops_nothing(tmp_path, store):
    slides(store, ["Z.mrxs"])
    assert losses(prepare(tmp_path, small(store), **SPLIT)) == {"not in the label table": ["Z"]}


# Pictures


@pytest.mark.parametrize("picture", ["P03.jpg", "P03_label.png", "thumbnails/P03.jpeg"])
def test_pictures_beside_slides_are_no_slides(tmp_path, store, picture):
    table = small(store)
    slides(store, [picture])
    folder = prepare(tmp_path, table, **SPLIT)
    assert losses(folder) == {"pictures (PNG, JPEG) beside slides, which the label table does not list": [picture]}
    assert rows_of(folder)["P03.svs"].slide_id == "P03"


@pytest.mark.parametrize("listed", ["x.jpg", "x", "photos/x.jpg"])
def test_a_picture_that_the_table_lists_is_a_slide(tmp_path, store, listed, capsys):
    table = in_folders(store, table=f"a/x.svs,A,MSS\n{listed},C,MSS\n").replace("a/x.svs,A,MSS\n", "")
    slides(store, ["photos/x.jpg"])
    (store / "slides" / "a" / "x.svs").unlink()
    (store / "slides" / "b" / "x.svs").unlink()
    assert rows_of(prepare(tmp_path, table, **SPLIT))["photos/x.jpg"].patient_id == "C"
    assert "1 pictures (PNG, JPEG) give no scale: x: add their µm/px to the column 'mpp'" in capsys.readouterr().out


def test_a_folder_of_pictures_alone_is_a_cohort(tmp_path, store):
    table = small(store)
    for path in (store / "slides").iterdir():
        path.rename(path.with_suffix(".png"))
    assert len(rows_of(prepare(tmp_path, table, **SPLIT))) == 12


# Formats that are not read


@pytest.mark.parametrize(
    ("names", "kind", "shown"),
    [
        (["study/1.dcm", "study/2.dcm", "study/DICOMDIR"], "DICOM", ["study/"]),
        (["a.dcm", "b.DCM"], "DICOM", ["a.dcm", "b.DCM"]),
        (["P.czi"], "Zeiss CZI", ["P.czi"]),
        (["P.vsi", "_P_/stack1/frame_t.ets"], "Olympus VSI", ["P.vsi"]),
        (["P.vms", "P_map2.jpg"], "Hamamatsu VMS", ["P.vms"]),
        (["P.ndpis", "P-DAPI.ndpi"], "Hamamatsu NDPIS", ["P.ndpis"]),
        (["P.ome.zarr/.zattrs", "P.ome.zarr/0/0", "P.ome.zarr/0/1.tif"], "OME-Zarr", ["P.ome.zarr"]),
        (["P.isyntax"], "Philips iSyntax", ["P.isyntax"]),
    ],
)
def test_formats_that_are_not_read_are_named_and_counted(tmp_path, store, names, kind, shown):
    table = small(store, 48)
    slides(store, names)
    folder = prepare(tmp_path, table, **SPLIT)
    step = next(step for step in summary(folder)["flow"]["steps"] if step["name"] == "matched")
    loss = next(loss for loss in step["lost"] if loss["reason"].startswith(kind))
    assert loss == {
        "reason": f"{kind} files, a format that is not read",
        "unexpected": True,
        "slides": len(shown),
        "names": shown,
    }
    assert len(rows_of(folder)) == 48


@pytest.mark.parametrize("suffix", [".ndpi", ".scn", ".bif", ".svslide", ".TIF"])
def test_single_files_that_openslide_reads_are_slides(tmp_path, store, suffix):
    table = small(store)
    for path in (store / "slides").iterdir():
        path.rename(path.with_suffix(suffix))
    folder = prepare(tmp_path, table, **SPLIT)
    assert len(rows_of(folder)) == 12 and not losses(folder)
    assert json.loads((folder / "cohort.json").read_text())["flow"]["steps"][0]["slides"] == 12
