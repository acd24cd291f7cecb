"""Tables as people have them: which column is what, who is one patient, and which slides are meant."""

import pytest
from cohorts import CASES, CLAM, HE, SPLIT, TABLES, losses, numbered, prepare, refused, slides, small, summary
from pathology.contracts.cohort import read_cohort

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


@pytest.mark.parametrize(
    ("mpp", "words"),
    [
        ("40", "a magnification, which is about 0.25 µm per pixel"),
        ("20.0", "a magnification, which is about 0.5 µm per pixel"),
        ("63", "a magnification"),
        ("0.05", "no scanner's: from 0.08 to 20"),
        ("250", "no scanner's"),
        ("40x", "not a number of µm per pixel"),
        ("nan(1)", "not a number"),
    ],
)
def test_a_scale_that_is_none_is_refused_with_its_line(tmp_path, store, mpp, words):
    slides(store, ["S00.svs", "S01.svs"])
    message = refused(tmp_path, f"patient_id,slide_id,label,mpp\nP0,S00,MSI-H,0.25\nP1,S01,MSS,{mpp}\n")
    assert f"line 3: mpp '{mpp}' is {words}" in message and "correct it or leave it empty" in message


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
