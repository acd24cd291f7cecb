"""The verbs on model versions, in an account of this machine whose versions were made without a run and without a pipeline."""

import getpass
import json

import pytest
from pathology.contracts.uris import Uri

from pipelines.local.errors import refused
from pipelines.local.registry_calls import RegistryCalls
from tests.pipelines import registry

TASK = ("--task", "msi")
PLACEHOLDER = {**registry.ENCODER, "name": "tiny-seeded", "origin": "placeholder with seeded weights", "placeholder": True}


@pytest.fixture(autouse=True)
def _mine(account, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def group(account):
    account.client.create_model_package_group(ModelPackageGroupName=registry.GROUP)


@pytest.fixture
def add(account, group):
    """``add(patients=…, auroc=…)``: another version."""

    def one(**changes):
        return registry.add(account.client, account.store, "local", **changes)

    return one


@pytest.fixture
def described(account):
    """``described(2)``: what Describe answers of a version."""
    return lambda number: account.client.describe_model_package(ModelPackageName=f"{registry.GROUP}/{number}")


def last(done):
    return done.err.splitlines()[-1]


# ---- Looking ----


def test_versions_are_listed_newest_first_in_80_columns(account, add, here):
    add(auroc=0.871)
    add(auroc=0.912, execution="q8ztk3j9x2m4")
    add(encoder={**registry.ENCODER, "name": "a-name-that-somebody-gave-at-length"})
    assert (
        here("approve", "1", *TASK, "--note", "read by two, on all 98 patients; sites agree, and so does the last batch").code
        == 0
    )
    done = here("versions", *TASK)
    lines = done.out.splitlines()
    assert (done.code, max(map(len, lines)) <= 80) == (0, True), done.out
    assert lines[0].split() == ["No.", "Status", "AUROC", "95%", "Encoder", "Cohort", "n", "Pos.", "Execution"]
    assert [line.split()[0] for line in lines if line.split()[1:2] in (["Pending"], ["Approved"])] == ["3", "2", "1"]
    row = next(line.split() for line in lines if line.split()[:1] == ["2"])
    cohort = registry.hashlib.sha256(registry.table(("P01", "P02"))).hexdigest()[:6]
    assert row == ["2", "Pending", "0.912", "0.852–0.962", "h-optimus-0", cohort, "300", "45", "q8ztk3j9x2m4"]
    decisions = done.out.partition("Decisions")[2]
    assert getpass.getuser() in decisions
    assert "read by two" in decisions


def test_a_version_is_found_by_number_arn_and_word_and_says_everything(account, add, here):
    arns = [add(auroc=0.871), add(auroc=0.912)]
    here("approve", "1", *TASK, "--note", "read by two")
    found = {
        given: here("version", *given, *TASK, "--json") for given in ((), ("latest",), ("2",), (arns[1],), ("approved",), ("1",))
    }
    answers = {given: json.loads(done.out) for given, done in found.items()}
    assert [answer["version"] for answer in answers.values()] == [2, 2, 2, 2, 1, 1]
    one = answers["1",]
    assert one["arn"] == arns[0]
    assert (one["status"], one["stage"], one["gate"]) == ("Approved", "Review: Approved", "AUROC at least 0.8")
    assert one["score"] == {"name": "auroc", "value": 0.871, "low": 0.871 - 0.06, "high": 0.871 + 0.05, "confidence": 0.95}
    assert (one["decision"]["by"], one["decision"]["note"]) == (getpass.getuser(), "read by two")
    assert one["hyperparameters"]["epochs"] == "20"
    assert one["hashes"]["encoder"] == "e" * 64
    assert (one["learned_from"]["n"], one["learned_from"]["positives"], one["learned_from"]["unit"]) == (300, 45, "patients")
    assert one["trained_by"] == {
        "pipeline": "pathology-msi",
        "execution": "execution001",
        "step": "TrainMsi",
        "job": "pipelines-execution001-TrainMsi-Xy12",
    }
    assert one["evaluated_by"]["step"] == "EvaluateMsi"
    assert one["report"].endswith("EvaluateMsi/evaluation/report.html")
    shown = here("version", "1", *TASK).out
    for words in (
        "version 1, Approved",
        f"Approved by {getpass.getuser()}",
        ": read by two",
        "gate: AUROC at least 0.8",
        "trained on 300 patients, 45 of them positive, of table",
        "drift baseline: 300 of 300 patients, colours unknown of 2 slides, s3://local/runs/pathology-msi/execution001/EvaluateMsi",
        "registered by execution: execution001",
        "warning: The test set holds 15 positive",
        f"encoder: {'e' * 64}",
    ):
        assert words in shown


def test_a_version_without_its_evaluation_is_still_shown_and_says_so(account, add, here):
    add()
    evaluation = Uri("s3", "local", f"runs/{registry.GROUP}/execution001/EvaluateMsi/evaluation/evaluation.json").under(
        account.root
    )
    evaluation.write_text("{")
    listed, shown = here("versions", *TASK), here("version", *TASK)
    assert (listed.code, f"version 1: no scores: {evaluation}: is damaged" in listed.out) == (0, True)
    assert (shown.code, "gate: AUROC at least 0.8" in shown.out, "no scores" in shown.out) == (0, True, True)
    refusal = here("approve", "1", *TASK, "--note", "x")
    assert (refusal.code, "--accept-warning no-evaluation" in last(refusal)) == (2, True)
    evaluation.unlink()
    assert "no such object" in json.loads(here("versions", *TASK, "--json").out)[0]["evaluation_missing"]


def test_of_a_version_of_before_nothing_is_made_up(account, group, here):
    account.client.create_model_package(ModelPackageGroupName=registry.GROUP)
    one = json.loads(here("version", *TASK, "--json").out)
    nothing = ("score", "encoder", "execution", "gate", "registered_by", "trained_by", "artefact", "report", "decision", "stage")
    assert {key: one[key] for key in nothing} == dict.fromkeys(nothing)
    assert "gate: not recorded" in here("version", *TASK).out
    assert here("versions", *TASK).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("version", "9"), "has no version 9 in pathology-msi: the latest is 1"),
        (("version", "0"), "is no version"),
        (("version", "newest"), "'newest' is no version: give its number, its ARN, latest or approved"),
        (("version", "approved"), "has no approved version in pathology-msi"),
        (
            ("version", "arn:aws:sagemaker:us-east-1:000000000000:model-package/pathology-mhist/1"),
            "is a version of pathology-mhist",
        ),
        (("version", "arn:aws:sagemaker:us-east-1:000000000000:model-package/pathology-msi/7"), "has no version"),
        (("approve", "1"), "Missing option '--note'"),
        (("approve", "1", "--note", "  "), "--note is empty"),
        (("approve", "1", "--note", "x" * 1025), "1025 characters"),
        (("reject", "1", "--note", "a\nb"), "line breaks"),
        (("approve", "9", "--note", "x"), "has no version 9"),
        (("reject", "approved", "--note", "x"), "has no approved version"),
        (
            ("approve", "1", "--note", "x", "--accept-warning", "permuted-labels"),
            "has no warning 'permuted-labels' to accept: it has none",
        ),
        (("versions", "--most", "0"), "--most"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(account, add, described, here, arguments, words):
    add()
    before = described(1)
    done = here(*arguments, *TASK)
    assert (done.code, words in last(done)) == (2, True), done.err
    assert done.err.count("error: ") == 1
    assert described(1) == before


def test_before_anything_is_there(account, here):
    for arguments in (("versions",), ("version",), ("approve", "1", "--note", "x")):
        done = here(*arguments, *TASK)
        assert (done.code, "has no model package group pathology-msi: python -m pipelines.upsert" in last(done)) == (2, True)
    account.client.create_model_package_group(ModelPackageGroupName=registry.GROUP)
    assert here("versions", *TASK).out == "no version yet\n"
    assert json.loads(here("versions", *TASK, "--json").out) == []
    for given in ("latest", "1"):
        done = here("version", given, *TASK)
        assert (done.code, "has no version in pathology-msi yet" in last(done)) == (2, True)


# ---- Deciding ----


def test_a_decision_keeps_who_when_and_why_and_may_be_changed(account, add, described, here):
    add()
    done = here("approve", "latest", *TASK, "--note", "read by two, see ticket 7")
    assert (done.code, done.out) == (
        0,
        f"version 1 Approved by {getpass.getuser()}: read by two, see ticket 7\nwritten besides: ModelCard, SourceUri\n",
    )
    version = described(1)
    assert (version["ModelApprovalStatus"], version["ApprovalDescription"]) == ("Approved", "read by two, see ticket 7")
    assert version["ModelLifeCycle"]["StageStatus"] == "Approved"
    assert version["CustomerMetadataProperties"]["decided_by"] == getpass.getuser()
    assert version["CustomerMetadataProperties"]["encoder"] == "h-optimus-0", "what registration wrote stays"
    assert here("reject", "1", *TASK, "--note", "a site was mislabelled").code == 0
    one = json.loads(here("version", "1", *TASK, "--json").out)
    assert (one["status"], one["stage"], one["decision"]["note"]) == ("Rejected", "Review: Rejected", "a site was mislabelled")
    assert "has no approved version" in here("version", "approved", *TASK).err


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"encoder": PLACEHOLDER}, "placeholder-encoder"), ({"settings": {"shuffle-labels": "true"}}, "permuted-labels")],
)
def test_what_a_warning_forbids_is_approved_by_its_name_alone(account, add, described, here, changes, name):
    add(**changes)
    done = here("approve", "1", *TASK, "--note", "x")
    assert (done.code, "version 1 must not be used: " in last(done), f"--accept-warning {name}" in last(done)) == (2, True, True)
    assert described(1)["ModelApprovalStatus"] == "PendingManualApproval"
    assert here("reject", "1", *TASK, "--note", "of course").code == 0
    done = here("approve", "1", *TASK, "--note", "to try deployment", "--accept-warning", name)
    assert (done.code, f"accepting {name}" in done.out) == (0, True)
    assert json.loads(here("version", *TASK, "--json").out)["decision"]["accepted"] == [name]
    assert here("reject", "1", *TASK, "--note", "tried").code == 0
    assert "accepted_warnings" not in described(1)["CustomerMetadataProperties"]


def test_both_warnings_have_to_be_accepted(account, add, described, here):
    add(encoder=PLACEHOLDER, settings={"shuffle-labels": "true"})
    done = here("approve", "1", *TASK, "--note", "x", "--accept-warning", "placeholder-encoder")
    assert (done.code, "permuted" in last(done), "placeholder" in last(done)) == (2, True, False)


def test_a_decision_made_elsewhere_since_is_not_said_to_be_ours(account, add, here):
    arn = add()
    here("approve", "1", *TASK, "--note", "read by two")
    account.client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="in Studio")
    decision = json.loads(here("version", *TASK, "--json").out)["decision"]
    assert (decision["status"], decision["by"], decision["note"]) == ("Rejected", None, "in Studio")
    assert decision["at"] is not None
    assert "Rejected by not recorded" in here("version", *TASK).out


@pytest.fixture
def meanwhile(monkeypatch):
    """``meanwhile(act, conflicts=1)``: UpdateModelPackage first lets ``act`` happen, and is refused as a conflict so many times; where it
    sets the member ``of``."""

    def set_up(act, conflicts=0, after=lambda: None, of="ModelApprovalStatus"):
        update, left = RegistryCalls.update_model_package, [act] if conflicts == 0 else [act, *[lambda: None] * (conflicts - 1)]

        def late(self, **request):
            if of not in request:
                return update(self, **request)
            if left:
                with monkeypatch.context() as patch:
                    patch.setattr(RegistryCalls, "update_model_package", update)
                    left.pop(0)()
                if conflicts:
                    raise refused("UpdateModelPackage", "busy", "ConflictException")
            answer = update(self, **request)
            with monkeypatch.context() as patch:
                patch.setattr(RegistryCalls, "update_model_package", update)
                after()
            return answer

        monkeypatch.setattr(RegistryCalls, "update_model_package", late)

    return set_up


def test_two_who_decide_at_once(account, add, described, here, meanwhile):
    arn = add()
    account_update = {"ModelPackageArn": arn, "ModelApprovalStatus": "Rejected", "ApprovalDescription": "no"}
    meanwhile(lambda: account.client.update_model_package(**account_update), conflicts=1)
    done = here("approve", "1", *TASK, "--note", "yes")
    assert (done.code, "somebody else decided on version 1 meanwhile: Rejected" in last(done)) == (2, True)
    assert described(1)["ModelApprovalStatus"] == "Rejected"


def test_a_decision_while_the_card_is_written_stands(account, add, described, here, meanwhile):
    arn = add()
    other = {"ModelPackageArn": arn, "ModelApprovalStatus": "Rejected", "ApprovalDescription": "no"}
    meanwhile(lambda: account.client.update_model_package(**other), of="ModelCard")
    done = here("approve", "1", *TASK, "--note", "yes")
    assert (done.code, "somebody else decided on version 1 meanwhile: Rejected" in last(done)) == (2, True)
    assert described(1)["ModelApprovalStatus"] == "Rejected"


def test_a_conflict_that_decides_nothing_is_tried_again(account, add, described, here, meanwhile):
    add()
    meanwhile(lambda: None, conflicts=2)
    assert here("approve", "1", *TASK, "--note", "yes").code == 0
    assert described(1)["ModelApprovalStatus"] == "Approved"


def test_a_conflict_that_does_not_pass_is_one_line(account, add, here, meanwhile):
    add()
    meanwhile(lambda: None, conflicts=9)
    done = here("approve", "1", *TASK, "--note", "yes")
    assert (done.code, "this machine refused UpdateModelPackage: busy" in last(done)) == (2, True)


def test_a_decision_that_another_one_covered_is_no_success(account, add, here, meanwhile):
    arn = add()
    other = {"ModelPackageArn": arn, "ModelApprovalStatus": "Rejected", "ApprovalDescription": "no"}
    meanwhile(lambda: None, after=lambda: account.client.update_model_package(**other))
    done = here("approve", "1", *TASK, "--note", "yes")
    assert (done.code, "was decided on by somebody else at the same time: Rejected" in last(done)) == (1, True)


def test_a_version_deleted_meanwhile(account, add, here, meanwhile):
    arn = add()
    meanwhile(lambda: account.client.delete_model_package(ModelPackageName=arn))
    done = here("approve", "1", *TASK, "--note", "yes")
    assert (done.code, last(done)) == (2, "error: version 1 was deleted meanwhile")


# ---- Who learnt from whom ----


def test_versions_that_learnt_from_a_patient_a_slide_or_a_file(account, add, here):
    add(patients=("P01", "P02"))
    add(patients=("P02", "P03"))
    asked = {
        "P01": [False, True],
        "p02": [True, True],
        "P03-DX1": [True, False],
        registry.features_of("P03"): [True, False],
        "P0": [False, False],
        "A1": [False, False],
    }
    for given, expected in asked.items():
        done = here("versions", *TASK, "--trained-on", given, "--json")
        assert (done.code, [one["trained_on"]["seen"] for one in json.loads(done.out)]) == (0, expected), given
    shown = here("versions", *TASK, "--trained-on", "P01")
    assert "P01: 1 of 2 versions learnt from it, 1 did not, 0 not known" in shown.out
    assert "their lists know: features, patients" in shown.out


def test_what_cannot_be_told_is_never_a_no(account, add, here):
    add(with_list=False)
    for execution in ("gone", "cut", "another", "stripped", "moved"):
        add(execution=f"{execution:x<12}", patients=("P01", execution))
    place = f"runs/{registry.GROUP}/{{}}/TrainMsi/pipelines-{{}}-TrainMsi-Xy12/output/model.tar.gz"
    archives = {
        name: Uri("s3", "local", place.format(f"{name:x<12}", f"{name:x<12}")).under(account.root)
        for name in ("gone", "cut", "another", "stripped")
    }
    archives["gone"].unlink()
    archives["cut"].write_bytes(archives["cut"].read_bytes()[:60])
    archives["another"].write_bytes(registry.pack(registry.artefact(("P01",), "0" * 64)))
    files = registry.artefact(("P01", "stripped"), registry.hashlib.sha256(registry.table(("P01", "stripped"))).hexdigest())
    archives["stripped"].write_bytes(registry.pack({**files, "learned-from.json": b"{}"}))
    for table in (account.root / "s3" / "local" / "prepared").rglob("cohort.csv"):
        if b"moved" in table.read_bytes():
            table.write_bytes(table.read_bytes() + b"x,x,x,x\n")
    done = here("versions", *TASK, "--trained-on", "P77", "--json")
    why = [one["trained_on"] for one in json.loads(done.out)]
    assert (done.code, [one["seen"] for one in why]) == (1, [None] * 6)
    for one, words in zip(
        why,
        (
            "is not the table that",
            "has another than was packed",
            "is not the artefact that was",
            "cannot be unpacked",
            "no such",
            "keeps no",
        ),
        strict=True,
    ):
        assert words in one["why"]
    shown = here("versions", *TASK, "--trained-on", "P77")
    assert "P77: 0 of 6 versions learnt from it, 0 did not, 6 not known" in shown.out
    seen = [one["trained_on"]["seen"] for one in json.loads(here("versions", *TASK, "--trained-on", "P01", "--json").out)]
    assert seen == [True, None, None, None, None, None], "a patient's own id needs no table"
