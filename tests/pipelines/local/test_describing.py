"""What Describe and ``approve`` write into an account of this machine, and what ``versions`` and ``version`` show of it."""

import json

import pytest
from pathology.commands.describe import describe
from pathology.contracts.description.writing import WARNINGS
from pathology.contracts.uris import Uri

from pipelines.local.endpoint import Endpoint
from pipelines.local.errors import refused
from pipelines.local.registry_calls import RegistryCalls
from tests.pipelines import registry

TASK = ("--task", "msi")


@pytest.fixture(autouse=True)
def _mine(account, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(account.root))
    account.client.create_model_package_group(ModelPackageGroupName=registry.GROUP)


@pytest.fixture
def add(account):
    """``add()``: another version, described as its job does, by the account's own methods."""

    def one(**changes):
        arn = registry.add(account.client, account.store, "local", **changes)
        statistics = account.client.describe_model_package(ModelPackageName=arn)["ModelMetrics"]["ModelQuality"]["Statistics"]
        evaluation = json.loads(account.store.read(Uri.parse(statistics["S3Uri"])))
        return describe(account.client, arn, evaluation)

    return one


@pytest.fixture
def described(account):
    """``described(2)``: what Describe answers of a version."""
    return lambda number: account.client.describe_model_package(ModelPackageName=f"{registry.GROUP}/{number}")


def test_a_version_has_card_life_cycle_and_source_and_shows_them(add, described, here):
    assert add().warnings == []
    answer = described(1)
    assert answer["ModelLifeCycle"] == {"Stage": "Development", "StageStatus": "PendingApproval"}
    assert answer["SourceUri"] == answer["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert answer["ModelCard"]["ModelCardStatus"] == "Draft"
    said = json.loads(here("version", "1", *TASK, "--json").out)
    assert said["card"]["content"]["intended_uses"]["purpose_of_model"] == registry.CARD
    assert (said["card"]["status"], said["source"], said["description_warnings"]) == ("Draft", answer["SourceUri"], None)
    shown = here("version", "1", *TASK).out
    for words in ("life cycle: Development: PendingApproval", "model card: Draft", "source: s3://local/runs/"):
        assert words in shown


def test_versions_of_one_evaluation_are_shown_as_the_same_as_the_first_that_is_there(account, add, here):
    assert [add(auroc=auroc).same_as for auroc in (0.9, 0.8, 0.9, 0.9)] == [None, None, 1, 1]
    assert "the same as version 1: the same evaluation" in here("version", "3", *TASK).out
    listed = here("versions", *TASK)
    assert [line for line in listed.out.splitlines() if "same as" in line] == ["version 4: same as 1", "version 3: same as 1"]
    assert [one["same_as"] for one in json.loads(here("versions", *TASK, "--json").out)] == [1, 1, None, None]
    account.client.delete_model_package(ModelPackageName=f"{registry.GROUP}/1")
    assert add(auroc=0.9).same_as == 4


def test_other_data_are_another_version(add):
    add()
    assert add(patients=("P01", "P07")).same_as is None


def test_approving_completes_what_was_refused_and_forgets_the_warning(account, add, described, here, monkeypatch):
    update = RegistryCalls.update_model_package

    def without_card(self, **request):
        if "ModelCard" in request:
            raise refused("UpdateModelPackage", "ModelCard is not known here.")
        return update(self, **request)

    monkeypatch.setattr(RegistryCalls, "update_model_package", without_card)
    assert add().written == ["SourceUri", "ModelLifeCycle", "CustomerMetadataProperties"]
    assert "did not take all of its description: ModelCard: ValidationException" in here("version", "1", *TASK).out
    still = here("approve", "1", *TASK, "--note", "read")
    assert (still.code, "warning: ModelCard: UpdateModelPackage was refused" in still.out) == (0, True)
    monkeypatch.setattr(RegistryCalls, "update_model_package", update)
    done = here("approve", "1", *TASK, "--note", "read again")
    assert (done.code, done.out.splitlines()[-1]) == (0, "written besides: ModelCard")
    answer = described(1)
    assert answer["ModelLifeCycle"]["StageStatus"] == "Approved"
    assert WARNINGS not in answer["CustomerMetadataProperties"]
    assert here("approve", "1", *TASK, "--note", "once more").out.count("\n") == done.out.count("\n") - 1


def test_approving_without_an_evaluation_says_that_no_card_was_written(account, here):
    registry.add(account.client, account.store, "local")
    Uri("s3", "local", f"runs/{registry.GROUP}/execution001/EvaluateMsi/evaluation/evaluation.json").under(account.root).unlink()
    done = here("approve", "1", *TASK, "--note", "x", "--accept-warning", "no-evaluation")
    assert (done.code, "warning: no card could be written: " in done.out) == (0, True)


def test_a_card_of_another_schema_is_refused_as_the_service_does(account):
    arn = registry.add(account.client, account.store, "local")
    card = {"ModelCardContent": '{"model_overview": {"model_name": "x"}}', "ModelCardStatus": "Draft"}
    with pytest.raises(account.client.exceptions.ClientError, match="model_overview.model_name: unknown key"):
        account.client.update_model_package(ModelPackageArn=arn, ModelCard=card)


def test_a_job_describes_through_the_run_s_endpoint(account, described, monkeypatch):
    """With boto3, as it does on AWS."""
    from pathology.registry import open_registry

    arn = registry.add(account.client, account.store, "local")
    evaluation = registry.evaluation({"cohort": "c" * 64}, {"cohort": "s3://local/c.csv"}, "d" * 64, "s3://local/m.tar.gz")
    with Endpoint(account.client, "execution001") as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        found = describe(open_registry(), arn, evaluation)
    assert found.warnings == []
    assert json.loads(described(1)["ModelCard"]["ModelCardContent"]) == found.card.model_dump(mode="json", exclude_none=True)
