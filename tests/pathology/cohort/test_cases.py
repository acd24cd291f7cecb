"""Folders and tables as people have them: what falls out of a cohort, what is refused, and what is said."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cohorts import CASES, SPLIT, TABLES, losses, prepare, refused, slides, small, summary
from pathology.cohort.slides import find_slides
from pathology.contracts.cohort import read_cohort
from pathology.contracts.storage import Entry
from pathology.contracts.uris import Uri

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
    shutil.rmtree(store / "prepared")
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


# A split that others made


def test_the_folds_of_a_patho_bench_table(tmp_path, store):
    """A row a slide, and for each published fold a column that says train or test."""
    slides(store, [f"S{n:02d}.svs" for n in range(80)])
    lines = ["case_id\tslide_id\tMSI\tfold_0\tfold_1"]
    for n in range(80):
        patient = n // 2
        sides = ["test" if patient % 4 == fold else "train" for fold in range(2)]
        lines.append(f"C{patient:02d}\tS{n:02d}\t{'MSI-H' if patient % 3 == 0 else 'MSS'}\t" + "\t".join(sides))
    given = {"split": "given", "split_column": "fold_1", "folds": 2}
    rows = read_cohort(prepare(tmp_path, "\n".join(lines), **given) / "cohort.csv")
    assert {row.patient_id for row in rows if row.split == "test"} == {f"C{number:02d}" for number in range(1, 40, 4)}
    message = refused(tmp_path / "b", "\n".join(lines), **{**given, "split_column": None})
    assert "has no column that names the split" in message and "'split-column' (SplitColumn)" in message


def test_an_earlier_cohort_keeps_its_places(tmp_path, store):
    table = small(store, 24)
    before = prepare(tmp_path / "a", table, **SPLIT)
    shutil.copy(before / "cohort.csv", store / "earlier.csv")
    more = small(store, 40)
    after = prepare(tmp_path / "b", more, split="given", earlier_cohort="s3://bucket/earlier.csv", folds=2)
    places = [{row.patient_id: (row.split, row.fold) for row in read_cohort(folder / "cohort.csv")} for folder in (before, after)]
    assert len(places[1]) == 40 and places[0].items() <= places[1].items()


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
        return [Entry(uri / name, 10, "", datetime(2026, 1, 1, tzinfo=UTC)) for name in self.names]


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
