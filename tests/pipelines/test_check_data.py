"""check_data: what a run would make of the data, by Prepare's own command, before anything is rented."""

import json
from pathlib import Path

import boto3
import pytest
from pathology.contracts.errors import RequestError

from demo.__main__ import make_data
from pipelines.check_data import check_data

TABLES = Path(__file__).parents[1] / "pathology" / "cohort" / "tables"


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A local state with slides case01 … case24 that are names alone, and every table of the cases."""
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path / "state"))
    own = tmp_path / "state" / "s3" / "local" / "own"
    (own / "slides").mkdir(parents=True)
    (own / "labels").mkdir()
    for number in range(1, 25):
        (own / "slides" / f"case{number:02d}.svs").write_bytes(b"slide")
    for table in TABLES.glob("*.csv"):
        (own / "labels" / table.name).write_bytes(table.read_bytes())
    return tmp_path / "state"


def given(table: str, **more: str) -> list[str]:
    values = {
        "SlidesUri": "s3://local/own/slides", "LabelsUri": f"s3://local/own/labels/{table}", "ManifestUri": "none",
        "Split": "stratified", "Folds": "3", "OneSlidePerPatient": "true", **more,
    }  # fmt: skip
    return [f"{name}={value}" for name, value in values.items()]


def files(state: Path) -> set[Path]:
    return {path for path in state.rglob("*") if path.is_file()}


def test_a_mistyped_table_as_a_person_and_as_a_script_see_it(state, tmp_path, capsys):
    before, page = files(state), tmp_path / "check.html"
    assert check_data("msi", param=given("typo6.csv"), html=page) == 1
    out = capsys.readouterr().out
    assert "−     6 named nearly as in the table: case01 (the table has cas01)" in out
    assert "problem: 6 of 24 slides are lost (25%, at most 5% may be)" in out
    assert out.splitlines()[-1] == "a run would stop here"
    text = page.read_text()
    assert "case01 (the table has cas01)" in text and "a run would stop here" in text and "<script" not in text
    assert files(state) == before

    assert check_data("msi", param=given("typo6.csv", MaxLeftOutFraction="0.3"), json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == [] and found["columns"] == {"slide": "slide_id", "label": "label"}
    assert [step["slides"] for step in found["flow"]["steps"]] == [24, 18, 18]
    assert set(found["parts"]) == {"train", "test"}


def test_values_are_shown_and_can_be_given(state, capsys):
    assert check_data("msi", param=given("dmmr.csv")) == 1
    assert "the values are dMMR (8) and pMMR (16)" in capsys.readouterr().out
    assert check_data("msi", param=given("dmmr.csv", Positive="dMMR", Negative="pMMR")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "a run would go on"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["mhist", "lizard"])
def test_patches_and_nuclei_are_checked_too(task, state, capsys):
    made = make_data(state, task)
    capsys.readouterr()
    param = [*(f"{name}={uri}" for name, uri in made.items()), "PublishedCounts=false"]
    before = files(state)
    assert check_data(task, param=param, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == [] and min(found["values"].values()) > 0
    assert [note.split()[0] for note in found["notes"][-3:]] == ["train", "validation", "test"]
    broken = next(path for path in state.rglob("*") if path.name in ("annotations.csv", "counts.csv"))
    broken.write_text("nothing,of,it\n1,2,3\n")
    assert check_data(task, param=param) == 1
    assert f"problem: {broken.name}" in capsys.readouterr().out and files(state) == before


@pytest.mark.slow
def test_data_in_s3_are_checked_where_they_lie(server, example, capsys):
    client = boto3.client("s3")
    for number in range(1, 25):
        client.put_object(Bucket=example.bucket, Key=f"own/slides/case{number:02d}.svs", Body=b"slide")
    client.put_object(Bucket=example.bucket, Key="own/typo6.csv", Body=(TABLES / "typo6.csv").read_bytes())
    root = f"s3://{example.bucket}/own"
    param = given("typo6.csv", SlidesUri=f"{root}/slides", LabelsUri=f"{root}/typo6.csv")
    assert check_data("msi", environment="example", param=param) == 1
    assert "−     6 named nearly as in the table: case01 (the table has cas01)" in capsys.readouterr().out


def test_what_cannot_be_checked_is_refused(state, capsys):
    assert check_data("msi", param=given("gone.csv")) == 1
    assert "problem: s3://local/own/labels/gone.csv: nothing is there: correct the URI" in capsys.readouterr().out
    with pytest.raises(RequestError, match="no parameter 'Patient'"):
        check_data("msi", param=given("dmmr.csv", Patient="x"))
    with pytest.raises(RequestError, match="'MSS' is positive and negative|'mss' is positive and negative"):
        check_data("msi", param=given("dmmr.csv", Positive="MSS"))
