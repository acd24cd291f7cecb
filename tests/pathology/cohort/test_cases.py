"""Tables and folders as people have them: who is in the cohort, what is refused, and what is said."""

import json
import shutil
from pathlib import Path

import pytest
from cohorts import prepare, slides, small
from pathology.cohort.slides import find_slides
from pathology.contracts.cohort import read_cohort
from pathology.contracts.errors import DataError
from pathology.contracts.storage import Entry
from pathology.contracts.uris import Uri

TABLES = Path(__file__).parent / "tables"
SPLIT = {"folds": 2, "test_fraction": 0.25, "split": "stratified"}
CLAM = [f"{number:04d}-S{number % 2}.svs" for number in range(48)]
CASES = [f"case{number:02d}.svs" for number in range(1, 25)]
HE = [f"P{number:02d}_HE.svs" for number in range(24)]


def summary(folder: Path) -> dict:
    return json.loads((folder / "cohort.json").read_text())


def losses(folder: Path) -> dict[str, list[str]]:
    return {loss["reason"]: loss["names"] for step in summary(folder)["flow"]["steps"] for loss in step["lost"]}


def refused(tmp_path, table, **settings) -> str:
    with pytest.raises(DataError) as caught:
        prepare(tmp_path, table, **{**SPLIT, **settings})
    message = str(caught.value)
    assert "\n" not in message
    assert not list(tmp_path.rglob("cohort.csv"))
    return message


def numbered(header: str, row: str, count: int = 24) -> str:
    """A table whose rows are ``row`` with {n} (two digits), {p} (two slides a patient) and {label} (a third is positive)."""
    lines = [row.format(n=f"{n:02d}", p=f"{n // 2:02d}", label="MSI-H" if n // 2 % 3 == 0 else "MSS") for n in range(count)]
    return "\n".join([header, *lines]) + "\n"


# Which column is what


@pytest.mark.parametrize(
    "header",
    ["case_id,slide_id,label", "PATIENT,FILENAME,Label", "Patient ID,Slide ID,MSI Status", "Patient_ID,slide,MSI_STATUS",
     "subject-id,Image Name,mmr status", "bcr_patient_barcode,file_name,dMMR"],
)  # fmt: skip
def test_two_slides_a_patient_stay_together_whatever_the_columns_are_called(tmp_path, store, header):
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    rows = read_cohort(prepare(tmp_path, numbered(header, "P{p},S{n}.svs,{label}"), **SPLIT) / "cohort.csv")
    assert len(rows) == 24 and len({row.patient_id for row in rows}) == 12


def test_clams_own_table(tmp_path, store):
    slides(store, CLAM)
    rows = read_cohort(prepare(tmp_path, TABLES / "clam-case_id.csv", **SPLIT) / "cohort.csv")
    assert len(rows) == 48 and len({row.patient_id for row in rows}) == 24


def test_blank_patients_are_refused_with_their_lines(tmp_path, store):
    slides(store, CLAM)
    message = refused(tmp_path, TABLES / "blank-patient-cells.csv")
    assert "blank-patient-cells.csv: lines 2, 3, 6" in message and "have no patient in 'patient_id'" in message


@pytest.mark.parametrize("header", ["slide_id,label", "who,slide_id,label", "patient name,slide_id,label"])
def test_slides_without_a_patient_are_refused(tmp_path, store, header):
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    row = "S{n},{label}" if header.count(",") == 1 else "P{p},S{n},{label}"
    message = refused(tmp_path, numbered(header, row))
    assert "no column that names the patient" in message and "'slide_id' (the slide)" in message
    assert "name it with 'patient-column' (PatientColumn), or, where every slide is of another patient" in message


def test_one_slide_a_patient_is_asked_for_and_said(tmp_path, store, capsys):
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    folder = prepare(tmp_path, numbered("slide_id,label", "S{n},{label}"), one_slide_per_patient=True, **SPLIT)
    assert summary(folder)["patients"] == 24
    assert "counts as a patient of its own" in summary(folder)["warnings"][0]
    assert "warning: each slide without a patient" in capsys.readouterr().out


def test_columns_that_could_both_be_it_are_refused_unless_they_agree(tmp_path, store):
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    table = numbered("case_id,patient_id,slide_id,label", "C{n},P{p},S{n},{label}")
    message = refused(tmp_path, table)
    assert (
        "several columns that could name the patient, 'case_id', 'patient_id', and they differ: name one with 'patient-column'"
        in message
    )
    rows = read_cohort(prepare(tmp_path, table, patient_column="Patient-ID", **SPLIT) / "cohort.csv")
    assert len({row.patient_id for row in rows}) == 12
    agreeing = numbered("case_id,patient_id,slide_id,label", "p{p},P{p},S{n},{label}")
    assert summary(prepare(tmp_path, agreeing, **SPLIT))["patients"] == 12


def test_a_slide_under_another_patient_than_its_barcode_is_refused(tmp_path, store):
    slides(store, ["TCGA-AA-0001-01Z-00-DX1.svs"])
    message = refused(tmp_path, "patient_id,slide_id,label\nTCGA-AA-0002,TCGA-AA-0001-01Z-00-DX1,MSS\n")
    assert "line 2: slide TCGA-AA-0001-01Z-00-DX1 is of patient TCGA-AA-0001 by its barcode and of TCGA-AA-0002" in message


def test_columns_of_the_table_can_be_named_by_a_run(tmp_path, store):
    slides(store, CASES)
    message = refused(tmp_path, TABLES / "othercols.csv")
    assert "'filename' (the slide), 'msi_status' (the label)" in message and "(PatientColumn)" in message
    folder = prepare(tmp_path, TABLES / "othercols.csv", patient_column="filename", **SPLIT)
    assert summary(folder)["patients"] == 24


def test_an_mpp_column_in_capitals_is_taken(tmp_path, store):
    slides(store, [f"P{n:02d}.svs" for n in range(24)])
    rows = read_cohort(prepare(tmp_path, TABLES / "mpp-column-upper-case.csv", **SPLIT) / "cohort.csv")
    assert {row.mpp for row in rows} == {0.25}


# One patient, one id


SPELLINGS = {
    "decomposed": lambda name: name.replace("ü", "u\u0308"),
    "case": str.upper,
    "no-break space": lambda name: name.replace(" ", "\u00a0"),
    "zero-width space": lambda name: name.replace("-", "-\u200b"),
    "hyphen": lambda name: name.replace("-", "\u2010"),
    "fullwidth digits": lambda name: name.translate({ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)}),
    "two spaces": lambda name: name.replace(" ", "  "),
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_one_patient_spelt_two_ways_is_one_and_said(tmp_path, store, how, capsys):
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    lines = ["patient_id,slide_id,label"]
    for n in range(24):
        name = f"Müller B-{n // 2:02d}"
        lines.append(f"{SPELLINGS[how](name) if n % 2 else name},S{n:02d},{'MSI-H' if n // 2 % 3 == 0 else 'MSS'}")
    folder = prepare(tmp_path, "\n".join(lines), **SPLIT)
    assert summary(folder)["patients"] == 12
    assert "12 patients are spelt in more than one way" in capsys.readouterr().out
    warning = next(text for text in summary(folder)["warnings"] if "spelt" in text)
    assert ascii("Müller B-00") in warning and ascii(SPELLINGS[how]("Müller B-00")) in warning


def test_composed_and_decomposed_umlauts(tmp_path, store):
    slides(store, [f"S{n:02d}.svs" for n in range(24)])
    folder = prepare(tmp_path, TABLES / "nfc-nfd.csv", **SPLIT)
    assert summary(folder)["patients"] == 12
    assert r"'M\xfcller00'" in summary(folder)["warnings"][0] and r"'Mu\u0308ller00'" in summary(folder)["warnings"][0]


def test_spellings_with_different_labels_are_refused(tmp_path, store):
    table = small(store) + "p00,MSS\n"
    assert r"line 14: patient p00 (spelt 'P00' and 'p00') is duplicated, as MSI-H and as MSS" in refused(tmp_path, table)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("\u0420001", None),  # Cyrillic alone: fine
        ("患者01", None),
        ("A患者01", None),
        ("\u0420A01", r"mixes Cyrillic and Latin letters: Р (U+0420)"),
        ("P\u0391B1", r"mixes Greek and Latin letters: Α (U+0391)"),
        ("P\x07001", r"'P\x07001' has a control character"),
        ("x" * 129, "has 129 characters, more than 128"),
    ],
)
def test_ids_that_cannot_be_told_apart_or_shown_are_refused(tmp_path, store, name, message):
    table = small(store) + f"{name},MSS\n"
    if message is None:
        assert summary(prepare(tmp_path, table, **SPLIT))["patients"] == 12
    else:
        assert message in refused(tmp_path, table)


def test_an_id_in_another_script_that_looks_like_another_is_refused(tmp_path, store):
    message = refused(tmp_path, small(store) + "\u042000,MSS\n")
    assert r"patients P00 ('P00') and Р00 ('\u042000') look alike and differ" in message


# The table's own list of slides


def test_slides_that_the_table_does_not_list_are_left_out(tmp_path, store):
    slides(store, [*HE, "P00_CD3.svs"])
    folder = prepare(tmp_path, TABLES / "curated-he-only.csv", **SPLIT)
    assert summary(folder)["slides"] == 24
    assert losses(folder) == {"not among the slides that the label table lists": ["P00_CD3"]}


def test_a_list_of_barcodes_is_obeyed(tmp_path, store):
    names = [f"TCGA-AA-{n:04d}-01Z-00-DX1" for n in range(12)]
    slides(store, [f"{name}.svs" for name in [*names, "TCGA-AA-0000-01Z-00-DX2"]])
    table = "slide_id,label\n" + "".join(f"{name},{'MSI-H' if n % 3 else 'MSS'}\n" for n, name in enumerate(names))
    folder = prepare(tmp_path, table, **SPLIT)
    assert losses(folder) == {"not among the slides that the label table lists": ["TCGA-AA-0000-01Z-00-DX2"]}


def test_a_list_may_have_paths_and_another_case(tmp_path, store):
    slides(store, HE)
    table = (TABLES / "curated-he-only.csv").read_text().replace("_HE,", "_he.SVS,").replace(",P", ",D:\\scans\\P")
    assert summary(prepare(tmp_path, table, **SPLIT))["slides"] == 24


# Kinds of slides

KINDS = {
    "01Z-00-DX1": "diagnostic primary", "01A-01-TS1": "frozen primary", "01A-01-BS1": "frozen primary",
    "11A-01-TS1": "frozen normal", "06A-00-DX1": "diagnostic metastasis", "02Z-00-DX1": "diagnostic recurrent",
}  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (("diagnostic", "primary"), {"diagnostic primary"}),
        (("frozen", "primary"), {"frozen primary"}),
        (("diagnostic", "frozen", "primary"), {"diagnostic primary", "frozen primary"}),
        (("diagnostic", "primary", "metastasis"), {"diagnostic primary", "diagnostic metastasis"}),
    ],
)
def test_kinds_of_slides_are_a_setting_and_each_is_counted(tmp_path, store, wanted, kinds):
    patients = [f"TCGA-AA-{n:04d}" for n in range(12)]
    slides(store, [f"{patient}-{kind}.svs" for patient in patients for kind in KINDS])
    table = "patient,label\n" + "".join(f"{name},{'MSI-H' if n % 3 else 'MSS'}\n" for n, name in enumerate(patients))
    folder = prepare(tmp_path, table, slide_kinds=wanted, **SPLIT)
    rows = read_cohort(folder / "cohort.csv")
    assert {row.kind for row in rows} == kinds
    assert len(rows) + sum(map(len, losses(folder).values())) == 12 * len(KINDS)
    assert all("not among 'slide-kinds'" in reason for reason in losses(folder))


# The same slide twice


def manifest(store: Path, names: list[str], md5s: list[str]) -> str:
    (store / "manifest.txt").write_text(
        "id\tfilename\tmd5\tsize\tstate\n"
        + "".join(f"{n}\t{name}\t{md5}\t10\tok\n" for n, (name, md5) in enumerate(zip(names, md5s, strict=True)))
    )
    return "s3://bucket/manifest.txt"


@pytest.mark.parametrize(
    ("copy", "message"),
    [((True, True), None), ((True, False), "differ in label"), ((False, True), "differ in split or fold")],
)
def test_one_file_under_two_patients(tmp_path, store, copy, message, capsys):
    table, names = small(store, 24), [f"P{n:02d}.svs" for n in range(24)]
    md5s = [f"{n:032x}" for n in range(24)]
    rows = {row.patient_id: row for row in read_cohort(prepare(tmp_path, table, **SPLIT) / "cohort.csv")}
    place = {name: (row.split, row.fold) for name, row in rows.items()}
    number = next(n for n in range(1, 24) if (place[f"P{n:02d}"] == place["P00"], rows[f"P{n:02d}"].label == 1) == copy)
    md5s[number] = md5s[0]
    shutil.rmtree(tmp_path / "ml")
    given = {"manifest": manifest(store, names, md5s)}
    if message:
        refusal = refused(tmp_path, table, **given)
        assert (
            f"slides P00 (patient P00) and P{number:02d} (patient P{number:02d}) are the same file" in refusal
            and message in refusal
        )
    else:
        prepare(tmp_path, table, **SPLIT, **given)
        assert "1 slides are the same file as another one and count twice" in capsys.readouterr().out


# What falls out


def test_mistyped_names_are_shown_and_refused_past_the_limit(tmp_path, store, capsys):
    slides(store, CASES)
    settings = {"one_slide_per_patient": True}
    message = refused(tmp_path, TABLES / "typo6.csv", **settings)
    assert (
        "6 of 24 slides are lost (25%, at most 5% may be): 6 named nearly as in the table (case01 (the table has cas01)"
        in message
    )
    assert "'max-left-out-fraction' (MaxLeftOutFraction)" in message
    folder = prepare(tmp_path, TABLES / "typo6.csv", max_left_out_fraction=0.3, **settings, **SPLIT)
    assert len(losses(folder)["named nearly as in the table"]) == 6
    assert "−     6 named nearly as in the table: case01 (the table has cas01)" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["P-01", "p1", "PP01", "P01_", "Q01"])
def test_a_patient_nearly_named_is_a_loss(tmp_path, store, wrong):
    table = small(store, 24).replace("P01,", f"{wrong},")
    folder = prepare(tmp_path, table, **SPLIT)
    (names,) = losses(folder).values()
    assert names == [f"P01 (the table has {wrong})"] or wrong == "Q01"


def test_numbers_that_differ_are_other_patients(tmp_path, store):
    """A subset of a numbered cohort: nothing of it was mistyped."""
    table = small(store, 24)
    slides(store, [f"P{n}.svs" for n in range(30, 60)])
    extra = "".join(f"P{n},MSS\n" for n in range(60, 90))
    folder = prepare(tmp_path, table + extra, **SPLIT)
    assert list(losses(folder)) == ["not in the label table"]
    assert summary(folder)["flow"]["patients_without_slides"][0] == "P60"


def test_formats_that_are_not_read_are_counted(tmp_path, store):
    table = small(store, 24)
    slides(store, ["a.dcm", "notes.txt", "logs/P00x.svs"])
    folder = prepare(tmp_path, table, **SPLIT)
    assert losses(folder) == {
        "DICOM files, a format that is not read": ["a.dcm"],
        "not in the label table": ["P00x"],
    }
    slides(store, [f"{n}.czi" for n in range(3)])
    assert "3 Zeiss CZI files, a format that is not read" in refused(tmp_path / "b", table)


class Listing:
    """A store that lists the objects of a bucket."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def list(self, uri: Uri) -> list[Entry]:
        return [Entry(uri / name, 10, "") for name in self.names]


def test_hidden_files_in_s3_are_counted():
    found = find_slides(
        Listing("a/P00.svs", "a/._P00.svs", ".P01.svs", "P01.svs", ".notes"), Uri.parse("s3://bucket/slides"), None
    )
    assert [slide.slide_id for slide in found.slides] == ["P00", "P01"]
    assert (found.hidden, found.count) == ((".P01.svs", "._P00.svs"), 4)


# Four mistakes, four messages


def test_values_that_no_setting_names(tmp_path, store):
    slides(store, CASES)
    message = refused(tmp_path, TABLES / "dmmr.csv")
    assert "the values are dMMR (8) and pMMR (16): name those of class 1 with 'positive' (Positive)" in message
    folder = prepare(tmp_path, TABLES / "dmmr.csv", positive=("dMMR",), negative=("pMMR",), one_slide_per_patient=True, **SPLIT)
    assert (summary(folder)["patients"], summary(folder)["positives"]) == (24, 8)


def test_zeros_and_ones_and_upper_case(tmp_path, store):
    table = small(store)
    message = refused(tmp_path, table.replace("MSI-H", "1").replace("MSS", "0"))
    assert "the values are 0 (8) and 1 (4)" in message
    assert summary(prepare(tmp_path, table.replace("MSI-H", "msi-h"), **SPLIT))["positives"] == 4


def test_names_that_do_not_match_are_shown_from_both_sides(tmp_path, store):
    slides(store, CASES)
    message = refused(tmp_path, TABLES / "nomatch.csv", one_slide_per_patient=True)
    assert "none of 24 slides is in nomatch.csv: the slides are named case01, case02, case03, …" in message
    assert "the table names slide_case01, slide_case02, slide_case03, …; the nearest to case01 is slide_case01" in message


def test_ids_of_a_table_reach_no_log_line_raw(tmp_path, store, capsys):
    """A terminal obeys control characters: a name must not be able to clear the screen or to write a line of its own."""
    hostile = "P\x1b[2Jx"
    message = refused(tmp_path, small(store) + f"{hostile},MSS\n{hostile},MSI-H\nP\u202e00,MSS\n")
    printed = message + capsys.readouterr().out
    assert "\x1b" not in printed and "\u202e" not in printed and r"\x1b[2Jx" in printed
