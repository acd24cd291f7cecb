"""clean: what it lists, what it never touches and why, what it says of what it cannot do; on a folder and on S3."""

import json

import pytest
from pathology.contracts.storage import FolderStore, S3Store
from pathology.contracts.uris import Uri

from pipelines.config import LOCAL
from pipelines.service import removing
from tests.pipelines.service.leavings import Leavings, days_ago, s3_client

A, B, C, D = ("a" * 12, "b" * 12, "c" * 12, "d" * 12)
OLD, YOUNG = 200, 10
RUN = "runs/pathology-msi"
LIMIT = ("--task", "msi", "--older-than", "90d", "--environment", "local")


def opened(monkeypatch, root, store):
    made = Leavings(root, store)
    made.pipeline()
    monkeypatch.setattr("pipelines.service.session.open_session", lambda env: made.session)
    monkeypatch.setenv("PATHOLOGY_STATE", str(root))
    return made


@pytest.fixture
def account(tmp_path, monkeypatch):
    """What executions left lies in a folder."""
    made = opened(monkeypatch, tmp_path, FolderStore(tmp_path))
    yield made
    made.close()


@pytest.fixture(params=["folder", "s3"])
def either(request, tmp_path, monkeypatch):
    """It lies in a folder, or in S3."""
    from moto import mock_aws

    if request.param == "folder":
        yield request.getfixturevalue("account")
        return
    with mock_aws():
        made = opened(monkeypatch, tmp_path, S3Store(s3_client()))
        yield made
        made.close()


@pytest.fixture
def clean(here):
    """``clean("--yes")``: the verb, and its JSON."""

    def call(*arguments):
        done = here("clean", *LIMIT, *arguments, "--json")
        done.json = json.loads(done.out)
        done.removed = {one["uri"].removeprefix("s3://local/").rstrip("/") for one in done.json["removed"]}
        done.would = {one["uri"].removeprefix("s3://local/").rstrip("/") for one in done.json["remove"]}
        done.kept = {one["reason"]: one["folders"] for one in done.json["kept"]}
        return done

    return call


def old_run(account, identity=A, letter="1", **more):
    """An old execution that nothing uses, and what it was handed."""
    handed = account.prepared(letter, OLD)
    account.outputs(identity, OLD, handed)
    account.execution(identity, OLD, steps={"PrepareMsi": identity}, **more)
    return handed


def test_lists_first_and_removes_when_told(either, here, clean):
    old_run(either)
    either.outputs(B, YOUNG, either.prepared("2", OLD))
    either.execution(B, YOUNG, steps={"PrepareMsi": B})
    either.prepared("3", YOUNG)
    before, size = either.keys(), either.size
    shown = here("clean", *LIMIT)
    assert shown.code == 0, shown.err
    assert either.keys() == before
    said = shown.out.splitlines()
    assert said[-1] == f"this would remove 2 folders, 6 objects, {size(f'{RUN}/{A}') + 3} bytes: say --yes to do it"
    assert "kept: 1 folders, 3 objects, 3 bytes: younger than 90 days" in said
    kept = f"kept: 1 folders, 3 objects, {size(f'{RUN}/{B}')} bytes: an execution that runs, or is younger, uses it"
    assert kept in said
    assert [line.split()[:3] for line in said if " d  " in line] == [["200", "d", "3"], ["200", "d", "3"]]
    done = clean("--yes")
    assert (done.code, done.removed) == (0, {f"{RUN}/{A}", f"prepared/msi/{'1' * 32}"})
    assert either.folders() == {f"{RUN}/{B}", f"prepared/msi/{'2' * 32}", f"prepared/msi/{'3' * 32}"}
    if isinstance(either.store, FolderStore):
        assert not Uri("s3", LOCAL.bucket, f"{RUN}/{A}").under(either.store.root).exists()
    again = here("clean", *LIMIT, "--yes")
    assert (again.code, again.out.splitlines()[-1]) == (0, "removed 0 folders, 0 objects, 0 bytes")


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("artefact", "Approved"),
        ("artefact", "Rejected"),
        ("evaluation", "PendingManualApproval"),
        *((how, "Rejected") for how in ("metadata", "arn", "id", "step")),
    ],
)
def test_what_a_version_stands_on_stays(account, clean, how, status):
    handed = account.prepared("1", OLD)
    uri = account.outputs(A, OLD, handed)
    metadata = {"metadata": uri, "arn": account.arn(A), "id": A}
    containers = {"InferenceSpecification": {"Containers": [{"ModelDataUrl": uri}]}}
    quality = {"ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": uri}}}}
    named = {"artefact": containers, "evaluation": quality}.get(
        how, {"CustomerMetadataProperties": {"x": metadata.get(how, "y")}}
    )
    version = account.version(7, status=status, **named)
    account.execution(A, OLD, steps={"PrepareMsi": A}, version=version if how == "step" else None)
    old_run(account, B, "2")
    done = clean("--yes")
    assert (done.code, done.removed) == (0, {f"{RUN}/{B}", f"prepared/msi/{'2' * 32}"})
    assert done.kept == {"a model version stands on it": 1, "an execution whose outputs stay was handed it": 1}


def test_a_version_of_another_group_and_a_deleted_one(account, clean):
    """The YAML's group was another one when A registered; B's version was deleted."""
    old_run(account, A, "1", version=account.version(3, group="former"))
    old_run(account, B, "2", version="arn:aws:sagemaker:us-east-1:000000000000:model-package/pathology-msi/9")
    assert clean().would == {f"{RUN}/{B}", f"prepared/msi/{'2' * 32}"}


def test_a_version_names_what_is_prepared(account, clean):
    account.version(1, CustomerMetadataProperties={"cohort": account.prepared("1", OLD)})
    account.prepared("2", OLD)
    assert clean().would == {f"prepared/msi/{'2' * 32}"}


@pytest.mark.parametrize("status", ["Executing", "Stopping"])
def test_what_runs_is_kept_however_old(account, clean, status):
    handed = account.prepared("1", OLD)
    account.outputs(A, OLD, handed)
    account.execution(A, OLD, status, steps={"PrepareMsi": A})
    assert (clean("--yes").removed, len(account.folders())) == (set(), 2)


@pytest.mark.parametrize("how", ["CacheHitResult", "SelectiveExecutionResult"])
def test_outputs_that_a_later_execution_took_over_stay(account, clean, how):
    """C took TrainMsi over from B, whose step was A's job: outputs are A's; Describe says so where the job's name does not."""
    for identity, letter in ((A, "1"), (B, "2"), (D, "3")):
        old_run(account, identity, letter)
    account.job(f"pipelines-{B}-TrainMsi-x", f"s3://local/{RUN}/{A}/TrainMsi")
    account.outputs(C, YOUNG, account.prepared("4", OLD))
    account.execution(C, YOUNG, steps={"TrainMsi": B}, cached=how)
    assert clean("--yes").removed == {f"{RUN}/{D}", f"prepared/msi/{'3' * 32}"}


def test_what_a_younger_execution_or_the_pipeline_was_given_stays(account, clean):
    account.sagemaker.delete_pipeline(PipelineName="pathology-msi")
    account.pipeline(EarlierCohortUri=f"{account.prepared('1', OLD)}cohort.csv")
    given = f"{account.prepared('2', OLD)}cohort.csv"
    account.prepared("3", OLD)
    account.execution(A, YOUNG, "Failed", given=[given])
    done = clean()
    assert done.would == {f"prepared/msi/{'3' * 32}"}
    assert done.kept == {"the deployed pipeline names it": 1, "an execution that runs, or is younger, uses it": 1}


def test_an_old_execution_that_was_retried_is_young(account, clean):
    old_run(account)
    account.step(A, "EvaluateMsi", days_ago(1).isoformat(), A, None)
    assert clean().would == set()


def test_a_deleted_pipeline_leaves_versions_and_ages(account, clean):
    handed = account.prepared("1", OLD)
    uri = account.outputs(A, OLD, handed)
    account.version(1, InferenceSpecification={"Containers": [{"ModelDataUrl": uri}]})
    account.outputs(B, OLD, account.prepared("2", OLD))
    account.sagemaker.delete_pipeline(PipelineName="pathology-msi")
    assert clean("--yes").removed == {f"{RUN}/{B}", f"prepared/msi/{'2' * 32}"}


def test_what_is_others_is_not_even_listed(either, clean):
    either.outputs(A, OLD, either.prepared("1", OLD), pipeline="pathology-mhist")  # handed ours, under another pipeline
    either.outputs(B, OLD, pipeline="pathology-msi-mini")
    for key in (f"prepared/msi-mini/{'5' * 32}/x", f"prepared/mhist/{'6' * 32}/x", f"datasets/{'7' * 32}/x", f"runs/x/{A}/y"):
        either.put(key, OLD)
    for key in (f"{RUN}/notes.txt", f"{RUN}/my-notes/a/b", "prepared/msi/notes.txt", "prepared/msi/mine/x"):
        either.put(key, OLD)
    before = either.keys()
    done = clean("--yes")
    assert (done.code, done.would, either.keys()) == (0, set(), before)
    assert done.kept == {"no folder of an execution or a Prepare step": 4, "an execution whose outputs stay was handed it": 1}


@pytest.mark.parametrize("text", [b"{", b"{}", b'{"cohort": {"uri": 1}}', None])
def test_a_prepared_json_that_cannot_be_read_saves_all_that_is_prepared(account, clean, text):
    old_run(account)
    account.outputs(B, YOUNG, text=text)
    account.execution(B, YOUNG, steps={"PrepareMsi": B})
    done = clean("--yes")
    assert (done.code, done.removed) == (1, {f"{RUN}/{A}"})
    last = done.err.splitlines()[-1]
    assert last.startswith("error: nothing below prepared/msi is removed, as nobody can tell what of it is used: ")
    assert (f"execution {B} has no prepared.json" if text is None else f"{B}/PrepareMsi/prepared/prepared.json is dam") in last
    assert clean().code == 1


def test_a_damaged_prepared_json_of_what_goes_matters_to_nobody(account, clean):
    account.prepared("1", OLD)
    account.outputs(A, OLD, text=b"{")
    account.execution(A, OLD, steps={"PrepareMsi": A})
    assert clean("--yes").removed == {f"{RUN}/{A}", f"prepared/msi/{'1' * 32}"}


def test_an_execution_that_is_preparing_may_be_handed_anything(account, clean):
    old_run(account)
    account.execution(B, 0, "Executing")
    done = clean("--yes")
    assert (done.code, done.removed) == (0, {f"{RUN}/{A}"})
    assert done.kept == {"an execution is preparing, and may be handed it": 1}


def between(monkeypatch, what):
    """Do ``what`` when the first folder has been removed."""
    removed = removing.remove_empty

    def then(store, uri):
        removed(store, uri)
        what()
        monkeypatch.setattr("pipelines.service.cleaning.remove_empty", removed)

    monkeypatch.setattr("pipelines.service.cleaning.remove_empty", then)


def test_an_execution_that_starts_meanwhile(either, clean, monkeypatch):
    """It takes up B's results, and its Prepare step may find any folder whole."""
    for identity, letter in ((A, "1"), (B, "2"), (C, "3")):
        old_run(either, identity, letter)

    def start():
        either.execution(D, 0, "Executing", steps={"TrainMsi": B}, cached="SelectiveExecutionResult")
        either.execution("e" * 12, 0, "Executing")

    between(monkeypatch, start)
    done = clean("--yes")
    assert (done.code, done.removed) == (0, {f"{RUN}/{A}", f"{RUN}/{C}"})
    spared = {one["uri"].split("/")[-2]: one["reason"] for one in done.json["spared"]}
    assert spared[B] == "an execution that runs, or is younger, uses it"
    assert spared["2" * 32] == "an execution whose outputs stay was handed it"
    assert spared["1" * 32] == spared["3" * 32] == "an execution is preparing, and may be handed it"


def test_a_version_that_is_registered_and_a_folder_that_gets_younger_meanwhile(either, clean, monkeypatch):
    for identity, letter in ((A, "1"), (B, "2"), (C, "3")):
        old_run(either, identity, letter)

    def change():
        either.version(1, CustomerMetadataProperties={"from": either.arn(B)})
        either.put(f"{RUN}/{C}/EvaluateMsi/evaluation/evaluation.json", 0)
        either.put(f"prepared/msi/{'1' * 32}/cohort.csv", 0)

    between(monkeypatch, change)
    done = clean("--yes")
    assert done.removed == {f"{RUN}/{A}"}
    reasons = {one["uri"].split("/")[-2]: one["reason"] for one in done.json["spared"]}
    assert (reasons[B], reasons[C], reasons["1" * 32]) == ("a model version stands on it", "younger", "younger")


def test_broken_off_between_any_two_objects_and_taken_up_again(either, clean, monkeypatch):
    """The mark of a whole folder is the first to go."""
    either.prepared("1", OLD)
    real, order = removing.remove, []

    def one_then_die(store, uris):
        order.extend(uri.name for uri in uris[:1])
        real(store, uris[:1])
        if uris and uris[0].name != "COMPLETE":
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr("pipelines.service.cleaning.remove", one_then_die)
    with pytest.raises(json.JSONDecodeError):  # it was interrupted before it printed
        clean("--yes")
    assert (order, len(either.keys())) == (["COMPLETE", "classes.json"], 1)
    monkeypatch.setattr("pipelines.service.cleaning.remove", real)
    assert (clean("--yes").removed, either.keys()) == ({f"prepared/msi/{'1' * 32}"}, [])


def test_objects_that_cannot_be_removed_are_named_and_counted(either, clean, monkeypatch):
    for letter in "12":
        either.prepared(letter, OLD)
    refused = {f"prepared/msi/{'1' * 32}/cohort.csv", f"prepared/msi/{'2' * 32}/COMPLETE"}
    if isinstance(either.store, FolderStore):
        unlink = type(either.state.root).unlink

        def fail(path, **options):
            if any(str(path).endswith(key) for key in refused):
                raise PermissionError(13, "Permission denied", str(path))
            unlink(path, **options)

        monkeypatch.setattr("pathlib.Path.unlink", fail)
    else:
        delete = either.store.client.delete_objects

        def answer(Bucket, Delete):
            keys = {item["Key"] for item in Delete["Objects"]}
            delete(Bucket=Bucket, Delete={"Objects": [{"Key": key} for key in sorted(keys - refused)] or [{"Key": "none"}]})
            return {"Errors": [{"Key": key, "Code": "AccessDenied", "Message": "no"} for key in sorted(keys & refused)]}

        monkeypatch.setattr(either.store.client, "delete_objects", answer)
    done = clean("--yes")
    assert done.code == 1
    assert {one["uri"] for one in done.json["failed"]} == {f"s3://local/{key}" for key in refused}
    lines = [line for line in done.err.splitlines() if "not removed" in line]
    assert len(lines) == 2 and all(("AccessDenied" in line) or ("Permission denied" in line) for line in lines)
    assert done.err.splitlines()[-1].startswith("error: 2 objects could not be removed")
    # Where the mark could not go, nothing else of the folder went.
    assert len(either.keys(f"prepared/msi/{'1' * 32}")) == 1 and len(either.keys(f"prepared/msi/{'2' * 32}")) == 3
    assert [one["objects"] for one in done.json["removed"]] == [2]


def test_s3_is_asked_a_thousand_at_a_time(monkeypatch):
    asked = []

    class Client:
        def delete_objects(self, Bucket, Delete):
            asked.append([item["Key"] for item in Delete["Objects"]])
            return {"Errors": [{"Key": asked[-1][0], "Code": "InternalError"}]}

    uris = [Uri("s3", "bucket", f"k{number:04d}") for number in range(2001)]
    failed = removing.remove(S3Store(Client()), uris)
    assert [len(batch) for batch in asked] == [1000, 1000, 1]
    assert [key for batch in asked for key in batch] == [uri.path for uri in uris]
    assert [uri.path for uri in failed] == ["k0000", "k1000", "k2000"]


def test_a_damaged_execution_stops_it(account, here):
    old_run(account)
    account.state.execution(A).record_path.write_text("{")
    done = here("clean", *LIMIT, "--yes")
    assert done.code == 2 and f"what execution {A} uses cannot be known, nothing is removed" in done.err
    assert len(account.folders()) == 2


@pytest.mark.parametrize("text", ["", "90", "d", "-90d", "90 d", "9.5w", "3m", "90D", "99999d", "٩٠d"])
def test_another_form_of_an_age_is_told_what_is_expected(here, text):
    done = here("clean", "--task", "msi", f"--older-than={text}")
    assert (done.code, done.err) == (
        2,
        f"error: --older-than {text}: write a number of days or weeks, 90d or 12w\n".replace("  ", " "),
    )


@pytest.mark.parametrize(("text", "code"), [("30d", 2), ("0d", 2), ("4w", 2), ("31d", 0), ("5w", 0), ("9999w", 0)])
def test_what_the_cache_may_answer_with_is_not_old(here, tmp_path, monkeypatch, text, code):
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path))
    done = here("clean", "--task", "msi", "--environment", "local", f"--older-than={text}")
    assert done.code == code, done.err
    assert ("give 31d or more" in done.err) == (code == 2)
