"""A local account that has run, copies of it to be damaged, and disks that are full or read-only."""

import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from pathology.contracts.uris import Uri

from pipelines.local import endpoint_calls, execution_calls

TASK = ("--task", "msi")
PIPELINE_NAME = "pathology-msi"


@pytest.fixture(scope="session")
def built(tmp_path_factory, open_account, make):
    """The folder of an account with two executions, the second one failed, and the ARNs of both."""
    account = open_account(tmp_path_factory.mktemp("built") / "state")
    account.client.create_model_package_group(ModelPackageGroupName=PIPELINE_NAME)
    register = {"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": PIPELINE_NAME}}
    account.pipeline(
        make.processing("First", "write", environment={"WORD": {"Get": "Parameters.Word"}}, **make.cached),
        make.training("Train", "train"),
        make.processing("Evaluate", "evaluate", outputs=("evaluation",)),
        register,
        make.processing("Last", "fail_first", inputs={"data": make.get("First")}),
        parameters=[{"Name": "Word", "Type": "String", "DefaultValue": "a"}],
        name=PIPELINE_NAME,
    )
    (account.root / "healed").touch()
    other = account.start(PIPELINE_NAME)
    assert account.wait(other)["PipelineExecutionStatus"] == "Succeeded"
    (account.root / "healed").unlink()
    given = [{"Name": "Word", "Value": "b"}]
    arn = account.client.start_pipeline_execution(
        PipelineName=PIPELINE_NAME, PipelineParameters=given, ClientRequestToken="x" * 32
    )["PipelineExecutionArn"]
    assert account.wait(arn)["PipelineExecutionStatus"] == "Failed"
    for one in (other, arn):
        folder = Uri("s3", "local", f"runs/{identity(one)}/Evaluate/evaluation")
        account.store.write(folder / "report.html", b"<!doctype html>\n<html>\n<body>\n<main>figures</main>\n</body>\n</html>\n")
    host(account)
    defaults = account.root / "defaults" / "msi.json"
    defaults.parent.mkdir()
    defaults.write_text(json.dumps({"Epochs": "5"}))
    return account.root, other, arn


def host(account):
    """An endpoint of the task whose process is gone, with its configuration and its model."""
    client, version = account.client, f"arn:aws:sagemaker:us-east-1:000000000000:model-package/{PIPELINE_NAME}/1"
    tags = [{"Key": "task", "Value": "msi"}, {"Key": "model-package", "Value": version}]
    account.store.write(Uri("s3", "local", "model.tar.gz"), b"")
    role, container = "arn:aws:iam::000000000000:role/local", {"Image": "x", "ModelDataUrl": "s3://local/model.tar.gz"}
    client.create_model(ModelName=PIPELINE_NAME, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "all", "ModelName": PIPELINE_NAME, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=PIPELINE_NAME, ProductionVariants=[variant], Tags=tags)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoint_calls, "spawn", lambda root, endpoint, lock: os.close(lock))
        client.create_endpoint(EndpointName=PIPELINE_NAME, EndpointConfigName=PIPELINE_NAME, Tags=tags)
    assert client.describe_endpoint(EndpointName=PIPELINE_NAME)["EndpointStatus"] == "Failed"


@pytest.fixture
def fresh(built, tmp_path, monkeypatch):
    """``fresh(name)``: a copy of it; runners are not started, and nobody waits for them."""
    monkeypatch.setattr(execution_calls, "spawn", lambda root, execution, lock: os.close(lock))
    folder, other, arn = built

    def copy(name="state"):
        root = tmp_path / name
        shutil.copytree(folder, root, symlinks=True)
        monkeypatch.setenv("PATHOLOGY_STATE", str(root))
        return root, other, arn

    return copy


def identity(arn):
    return arn.rpartition("/")[2]


def disk(monkeypatch, root, damage):
    """A disk that is read-only, or full: it opens no new file, but removes and reads."""
    number = errno.EROFS if damage == "read-only" else errno.ENOSPC
    opened, made, linked, opens, removed = io.open, os.mkdir, os.link, os.open, os.unlink

    def fail(path):
        raise OSError(number, os.strerror(number), str(path) if number == errno.EROFS else None)

    def refuses(path):
        return not isinstance(path, int) and Path(os.fsdecode(path)).is_relative_to(root)

    def open_(path, mode="r", *arguments, **options):
        if refuses(path) and set(mode) & set("wax+") and (damage == "read-only" or not Path(path).exists()):
            fail(path)
        return opened(path, mode, *arguments, **options)

    def descriptor(path, flags, *arguments, **options):
        if refuses(path) and flags & (os.O_RDWR | os.O_WRONLY) and (damage == "read-only" or not Path(path).exists()):
            fail(path)
        return opens(path, flags, *arguments, **options)

    def mkdir(path, *arguments, **options):
        if refuses(path) and not Path(path).exists():
            fail(path)
        return made(path, *arguments, **options)

    def link(source, path, **options):
        return fail(path) if refuses(path) else linked(source, path, **options)

    def unlink(path, **options):
        if damage == "read-only" and refuses(path) and Path(path).exists():
            fail(path)
        return removed(path, **options)

    for where, name, function in (
        (io, "open", open_),
        (os, "mkdir", mkdir),
        (os, "link", link),
        (os, "open", descriptor),
        (os, "unlink", unlink),
    ):
        monkeypatch.setattr(where, name, function)
