"""Two models compared by their names, in an account of this machine whose versions were made without a run."""

import json

import pytest
from pathology.contracts.comparison.reading import StoredEvaluation
from pathology.contracts.uris import Uri

from pipelines.tasks import NAMES, task_spec
from tests.pipelines import registry

TASK = ("--task", "msi")
PATIENTS = registry.tested_patients()
FIRST, SECOND = (registry.answers(seed, PATIENTS) for seed in (1, 2))


@pytest.fixture(autouse=True)
def _mine(account, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))
    monkeypatch.setenv("COLUMNS", "80")
    account.client.create_model_package_group(ModelPackageGroupName=registry.GROUP)


@pytest.fixture
def add(account):
    """``add(FIRST, seen=…)``: another version, tested on 40 patients."""

    def one(probabilities=FIRST, patients=PATIENTS, learnt=("P01",), block=None, **tested):
        tested = {"patients": patients, "probabilities": probabilities, **tested}
        return registry.add(account.client, account.store, "local", patients=learnt, block=block, tested=tested)

    return one


@pytest.fixture
def compared(here):
    """``compared("1", "2")``: the answer for scripts."""

    def call(*names):
        done = here("compare", *TASK, *names, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    return call


def evaluation_of(account, number):
    """The folder of a version's evaluation."""
    return Uri("s3", "local", f"runs/{registry.GROUP}/execution{number:03}/EvaluateMsi/evaluation").under(account.root)


def artefact_of(account, number):
    (found,) = (evaluation_of(account, number).parents[1] / "TrainMsi").rglob("model.tar.gz")
    return found


def last(done):
    return done.err.splitlines()[-1]


def right(probabilities, name):
    return (probabilities[name] >= 0.5) == bool(PATIENTS[name])


def test_two_versions_are_compared_on_the_same_patients(account, add, here, compared):
    arns = [add(FIRST), add(SECOND)]
    found = compared("1", arns[1])
    assert (found["task"], found["comparable"], found["n"], found["positives"]) == ("msi", True, 40, 12)
    assert (found["by_id_alone"], found["learning_unknown"], found["notes"]) == (0, [], [])
    assert set(found["left_out"].values()) == {0}
    assert [model["arn"] for model in found["models"].values()] == arns
    assert found["models"]["first"]["evaluation"] == str(evaluation_of(account, 1) / "evaluation.json")
    pairs = [(right(FIRST, name), right(SECOND, name)) for name in PATIENTS]
    counts = [pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
    assert list(found["agreement"].values())[:4] == counts and min(counts) > 0
    assert {item["item"] for item in found["different"]} == {
        name for name in PATIENTS if right(FIRST, name) != right(SECOND, name)
    }
    auroc = found["scores"]["auroc"]
    assert auroc["bounds"]["low"] < auroc["difference"] == pytest.approx(auroc["first"] - auroc["second"])
    assert [group["n"] for group in found["groups"]] == [14, 13, 13]
    turned = compared("2", "1")
    assert turned["scores"]["auroc"]["difference"] == pytest.approx(-auroc["difference"])


def test_people_read_it_in_80_columns(add, here):
    add(FIRST, block={"threshold": 0.6})
    add(SECOND)
    done = here("compare", *TASK, "1", "2")
    lines = done.out.splitlines()
    assert (done.code, [line for line in lines if len(line) > 80]) == (0, [])
    assert lines[:3] == [
        "A  version 1, Pending, of execution execution001",
        "B  version 2, Pending, of execution execution002",
        "40 patients in common, 12 of them positive; left out: none",
    ]
    assert next(line for line in lines if line.startswith("Score")).split() == [
        "Score",
        "A",
        "B",
        "A",
        "−",
        "B",
        "95%",
        "interval",
    ]
    assert "McNemar's exact p = " in done.out and "AUROC by group" in done.out
    listed = done.out.partition("Most different")[2].partition("AUROC by group")[0]
    assert listed.count("\nT0") == 10 and "more that differ; --json lists them" in listed


def test_words_name_versions(add, here, compared):
    add(FIRST)
    add(SECOND)
    assert here("approve", "1", *TASK, "--note", "read by two").code == 0
    found = compared("latest", "approved")
    assert [(model["version"], model["status"]) for model in found["models"].values()] == [
        (2, "PendingManualApproval"),
        (1, "Approved"),
    ]


@pytest.mark.parametrize("table", [registry.slides(PATIENTS, settings="07e4"), None])
def test_features_of_other_settings_are_no_other_patients(account, add, compared, table):
    add(FIRST)
    add(SECOND, table=table)
    if table is None:  # Prepare's folder was cleaned
        for path in (account.root / "s3/local/prepared/msi").glob("*/slides.csv"):
            path.unlink()
    found = compared("1", "2")
    assert (found["comparable"], found["n"], found["by_id_alone"]) == (True, 40, 40)


def test_what_is_not_the_same_item_is_left_out_and_counted(add, compared, here):
    fewer = {name: label for name, label in PATIENTS.items() if name not in ("T038", "T039")}
    labels = {**fewer, "T037": 1}
    changed = registry.slides(
        labels, content=lambda name: f"{'other ' if name in ('T000', 'T001', 'T002') else ''}features of {name}"
    )
    add(FIRST)
    add(SECOND, patients=labels, table=changed)
    found = compared("1", "2")
    assert (found["n"], found["left_out"]["only_first"], found["left_out"]["other_content"], found["left_out"]["other_truth"]) == (
        34, 2, 3, 1,
    )  # fmt: skip
    assert "left out: 2 answered by the first model alone, 3 of other content" in " ".join(
        here("compare", *TASK, "1", "2").out.split()
    )


def test_what_either_learnt_from_is_left_out_by_the_artefacts_list(account, add, compared):
    """evaluation.json names a few of many."""
    add(FIRST, seen=2, names=["T005", "T006"])
    add(SECOND, learnt=("T007", "T008", "T009", "P01"), seen=3, names=["T007"])
    found = compared("1", "2")
    assert (found["n"], found["left_out"]["learned_by_first"], found["left_out"]["learned_by_second"]) == (35, 2, 3)
    artefact_of(account, 2).write_bytes(b"x")
    damaged = compared("1", "2")
    assert (damaged["n"], damaged["learning_unknown"]) == (38, ["version 2"])
    assert str(artefact_of(account, 2)) in damaged["notes"][0]
    assert "cannot be unpacked" in damaged["notes"][0]


@pytest.mark.parametrize(
    ("patients", "block", "words"),
    [
        (registry.tested_patients(29, 9), {}, "29 patients in common, and it takes 30"),
        (registry.tested_patients(40, 40), {}, "are all of one class"),
        (PATIENTS, {"model": {"labels": ["left", "right"]}}, "one tells left, right apart, the other MSS, MSI-H"),
    ],
)
def test_what_cannot_be_compared_says_why_and_is_no_error(add, here, compared, tmp_path, patients, block, words):
    for each in (block, {}):
        add(FIRST, patients=patients, block=each)
    found = compared("1", "2")
    assert (found["comparable"], found["scores"], found["agreement"]) == (False, {}, None)
    assert words in found["reason"]
    page = tmp_path / "page.html"
    done = here("compare", *TASK, "1", "2", "--html", str(page))
    assert (done.code, "not comparable: " in done.out, "not comparable: " in page.read_text()) == (0, True, True)


def test_a_model_is_like_itself(add, compared):
    add(FIRST)
    found = compared("1", "latest")
    assert found["scores"]["auroc"]["bounds"] == {"value": 0, "low": 0, "high": 0}
    assert (found["different"], found["agreement"]["p_value"]) == ([], 1.0)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("1", "9"), "has no version 9 in pathology-msi: the latest is 2"),
        (("1", "approved"), "has no approved version in pathology-msi"),
        (("1", "newest"), "'newest' is no version and no execution: give a version's number or ARN"),
        (("1",), "Missing argument 'B'"),
        (("arn:aws:sagemaker:us-east-1:000000000000:model-package/pathology-mhist/1", "1"), "is a version of pathology-mhist"),
        (
            ("1", "arn:aws:sagemaker:us-east-1:000000000000:pipeline/pathology-mhist/execution/abcdefghijkl"),
            "is an execution of pathology-mhist, and --task msi has the pipeline pathology-msi",
        ),
        (("1", "abcdefghijkl"), "has no pipeline pathology-msi"),
        (("2", "1"), "version 2 was evaluated as a model of mhist, and --task is msi: compare two of one task"),
        (("1", "1", "--html", "{folder}"), "is a directory"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(add, here, tmp_path, names, words):
    add(FIRST)
    add(SECOND, block={"task": "mhist"})
    done = here("compare", *TASK, *(name.format(folder=tmp_path) for name in names))
    assert (done.code, words in last(done), done.out) == (2, True, ""), done.err


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("predictions.csv", None, "there is no such object"),
        ("predictions.csv", b"", "is empty"),
        ("predictions.csv", b"\xff\xfe\n\x00", "is damaged, no text"),
        ("predictions.csv", b"patient_id,site,label,probability,slide_ids\nT000,A1,1,0.5,T000-DX1\n", "holds 1 items"),
        ("predictions.csv", b"patient_id\n" + b"T" * 200_000, "field larger than field limit"),
        (
            "predictions.csv",
            b"patient_id,site,label,probability,slide_ids\n" + b"T000,A1,1,nan,T000-DX1\n" * 40,
            "holds 40 items",
        ),
        ("predictions.csv", b"patient_id\nT000\n", "the column 'slide_ids' is missing"),
        ("evaluation.json", None, "there is no such object"),
        ("evaluation.json", b"{", "is damaged, no valid JSON"),
        ("evaluation.json", b'{"pathology": {"task": "msi"}}', "version 2's evaluation.json"),
    ],
)
def test_data_that_is_gone_or_damaged_is_one_line_that_names_it(account, add, here, file, content, words):
    add(FIRST)
    add(SECOND)
    path = evaluation_of(account, 2) / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    done = here("compare", *TASK, "1", "2")
    assert (done.code, words in last(done), "execution002/EvaluateMsi/evaluation" in last(done)) == (1, True, True), done.err


def test_every_task_can_be_compared_and_counts_in_its_own_unit():
    found = {name: task_spec(name).comparison() for name in NAMES}
    assert {name: how.task for name, how in found.items()} == {name: name for name in NAMES}
    assert all(how.measure == task_spec(name).headline[0] for name, how in found.items())
    with pytest.raises(Exception, match="evaluation.json"):
        StoredEvaluation.of("version 1", b"[]", b"")


def test_executions_are_compared_by_id_and_arn(fresh, here):
    """They have 7 test patients."""
    _, other, arn = fresh("run")
    found = json.loads(here("compare", *TASK, other, arn.rpartition("/")[2], "--json").out)
    assert [model["arn"] for model in found["models"].values()] == [other, arn]
    assert [(model["version"], model["status"]) for model in found["models"].values()] == [(None, None)] * 2
    assert (found["comparable"], found["reason"]) == (False, "7 patients in common, and it takes 30 (left out: none)")
    assert here("compare", *TASK, other, arn).out.startswith(f"A  execution {other.rpartition('/')[2]}\n")
