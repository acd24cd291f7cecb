"""The calls of hosting without a process: what they answer, what they refuse, and what is said of damaged records."""

import os

import pytest
from botocore.exceptions import ClientError

from pipelines.local import endpoint_calls
from pipelines.local.damage import ENDPOINT, ENDPOINT_CONFIG, MODEL, DamagedError
from pipelines.local.hosting import GONE, config_path, hosted, model_path
from pipelines.local.state import read_json, write_json
from tests.pipelines.local.hosts import IMAGE, ROLE, Hosts
from tests.pipelines.local.test_shapes import hosting_calls

VARIANT = {"VariantName": "all", "ModelName": "one", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
GUARDED = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 300,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
        }
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
}


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """An account whose endpoints have no process, and seem to have one: their locks are held."""
    held = []
    monkeypatch.setattr(endpoint_calls, "spawn", lambda root, endpoint, lock: held.append(lock))
    yield Hosts(tmp_path / "state")
    for lock in held:
        os.close(lock)


def in_service(hosts, name):
    """As the endpoint's process would say it."""

    def change(record):
        record["Deployed"] = record.pop("Pending")
        record["EndpointStatus"] = "InService"

    hosted(hosts.root, name).change(change)


def test_every_answer_has_the_services_shape(hosts):
    client = hosts.client
    hosts.version("one")
    hosts.version("two")
    assert client.describe_model(ModelName="one")["PrimaryContainer"]["Environment"] == {"VERSION": "one"}
    assert [model["ModelName"] for model in client.list_models(SortOrder="Ascending")["Models"]] == ["one", "two"]
    assert client.describe_endpoint_config(EndpointConfigName="one")["ProductionVariants"] == [VARIANT]
    listed = client.list_endpoint_configs(NameContains="TW", SortBy="Name")["EndpointConfigs"]
    assert [config["EndpointConfigName"] for config in listed] == ["two"]
    arn = client.create_endpoint(EndpointName="ep", EndpointConfigName="one", Tags=[{"Key": "task", "Value": "msi"}])[
        "EndpointArn"
    ]
    assert client.describe_endpoint(EndpointName="ep")["EndpointStatus"] == "Creating"
    in_service(hosts, "ep")
    client.update_endpoint(EndpointName="ep", EndpointConfigName="two", DeploymentConfig=GUARDED)
    described = client.describe_endpoint(EndpointName="ep")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", "one")
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "two"
    assert [one["EndpointName"] for one in client.list_endpoints(StatusEquals="Updating")["Endpoints"]] == ["ep"]
    assert client.list_endpoints(StatusEquals="Failed", SortBy="Status")["Endpoints"] == []
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "version", "Value": "3"}])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "task", "Value": "msi"}, {"Key": "version", "Value": "3"}]
    for kind in ("model/one", "endpoint-config/one"):
        tagged = f"{arn.rpartition(':')[0]}:{kind}"
        client.add_tags(ResourceArn=tagged, Tags=[{"Key": "a", "Value": "b"}])
        assert client.list_tags(ResourceArn=tagged)["Tags"] == [{"Key": "a", "Value": "b"}]
    in_service(hosts, "ep")
    client.delete_endpoint(EndpointName="ep")
    assert client.describe_endpoint(EndpointName="ep")["EndpointStatus"] == "Deleting"
    client.delete_endpoint_config(EndpointConfigName="one")
    client.delete_model(ModelName="one")
    assert hosting_calls() - client.seen == set()


def test_what_this_machine_has_not_is_said_in_the_log(hosts):
    hosts.model("one")
    asked = {"InitialInstanceCount": 3, "InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-2"}
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://local/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    hosts.client.create_endpoint_config(
        EndpointConfigName="one", ProductionVariants=[{**VARIANT, **asked}], DataCaptureConfig=capture, KmsKeyId="key"
    )
    hosts.client.create_endpoint(EndpointName="ep", EndpointConfigName="one", DeploymentConfig=GUARDED)
    said = [line.partition(" ")[2] for line in hosts.log("ep").splitlines()]
    assert said == [
        "InferenceAmiVersion is asked for, and means nothing on this machine",
        "3 instances are asked for: this machine runs one server",
        "data capture is asked for: nothing is captured on this machine",
        "a KMS key is asked for: nothing is encrypted on this machine",
        "alarms are named: this machine has none, and an update is rolled back by what its first answers are",
        "CANARY is asked for: this machine shifts all requests at once",
    ]


def test_an_endpoint_whose_process_never_came_has_failed(hosts, monkeypatch):
    monkeypatch.setattr(endpoint_calls, "spawn", lambda root, endpoint, lock: os.close(lock))
    hosts.version("one")
    hosts.client.create_endpoint(EndpointName="ep", EndpointConfigName="one")
    described = hosts.state("ep")
    assert (described["EndpointStatus"], described["FailureReason"]) == ("Failed", GONE)
    assert "PendingDeploymentSummary" not in described
    hosts.client.delete_endpoint(EndpointName="ep")
    assert hosts.gone("ep")
    hosts.client.create_endpoint(EndpointName="ep", EndpointConfigName="one")


CONTAINER = {"Image": IMAGE, "ModelDataUrl": "s3://local/models/model.tar.gz"}
GONE_DATA = {"Image": IMAGE, "ModelDataUrl": "s3://local/models/gone.tar.gz"}
REFUSED = {
    "model's name taken": (
        "create_model",
        {"ModelName": "one", "PrimaryContainer": CONTAINER},
        "Cannot create already existing model",
    ),
    "model's data gone": ("create_model", {"ModelName": "x", "PrimaryContainer": GONE_DATA}, "s3://local/models/gone.tar.gz"),
    "no container": ("create_model", {"ModelName": "x"}, "one, its PrimaryContainer"),
    "two containers": ("create_model", {"ModelName": "x", "Containers": [CONTAINER, CONTAINER]}, "2 containers"),
    "model's name": ("create_model", {"ModelName": "../x", "PrimaryContainer": CONTAINER}, "does not match"),
    "by package": (
        "create_model",
        {"ModelName": "x", "PrimaryContainer": {"ModelPackageName": "x/1"}},
        "ModelPackageName is not supp",
    ),
    "no model": ("describe_model", {"ModelName": "none"}, 'Could not find model "arn:aws:sagemaker:'),
    "no model to delete": ("delete_model", {"ModelName": "none"}, 'Could not find model "arn:aws:sagemaker:'),
    "config's name taken": ("config", {}, "Cannot create already existing endpoint configuration"),
    "config of no model": ("config", {"ModelName": "none"}, 'Could not find model "arn:aws:sagemaker:'),
    "serverless": (
        "config",
        {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}},
        "ServerlessConfig is not supported",
    ),
    "time to start": ("config", {"ContainerStartupHealthCheckTimeoutInSeconds": 10}, "valid min value: 60"),
    "no config": ("describe_endpoint_config", {"EndpointConfigName": "none"}, "Could not find endpoint configuration"),
    "no config to delete": ("delete_endpoint_config", {"EndpointConfigName": "none"}, "Could not find endpoint configuration"),
    "endpoint of no config": (
        "create_endpoint",
        {"EndpointName": "x", "EndpointConfigName": "none"},
        "Could not find endpoint configur",
    ),
    "endpoint's name taken": (
        "create_endpoint",
        {"EndpointName": "ep", "EndpointConfigName": "one"},
        "Cannot create already existing",
    ),
    "no endpoint": ("describe_endpoint", {"EndpointName": "none"}, 'Could not find endpoint "arn:aws:sagemaker:'),
    "no endpoint to update": (
        "update_endpoint",
        {"EndpointName": "none", "EndpointConfigName": "one"},
        "Could not find endpoint ",
    ),
    "no endpoint to delete": ("delete_endpoint", {"EndpointName": "none"}, "Could not find endpoint "),
    "update of what is made": (
        "update_endpoint",
        {"EndpointName": "ep", "EndpointConfigName": "one"},
        "Cannot update in-progress",
    ),
    "retained": (
        "update_endpoint",
        {"EndpointName": "ep", "EndpointConfigName": "one", "RetainAllVariantProperties": True},
        "RetainAllVariantProperties is not supported",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_in_the_services_words(hosts, case):
    hosts.version("one")
    hosts.client.create_endpoint(EndpointName="ep", EndpointConfigName="one")
    call, request, words = REFUSED[case]
    if call == "config":
        call = "create_endpoint_config"
        request = {"EndpointConfigName": "one", "ProductionVariants": [{**VARIANT, **request}]}
    if call == "create_model":
        request = {"ExecutionRoleArn": ROLE, **request}
    with pytest.raises(ClientError) as raised:
        getattr(hosts.client, call)(**request)
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    assert words in raised.value.response["Error"]["Message"]


def test_variants_beside_each_other_are_refused(hosts):
    hosts.model("one")
    with pytest.raises(ClientError, match="2 production variants: an endpoint of this machine has one"):
        hosts.client.create_endpoint_config(
            EndpointConfigName="x", ProductionVariants=[VARIANT, {**VARIANT, "VariantName": "other"}]
        )
    with pytest.raises(ClientError, match="ShadowProductionVariants is not supported"):
        hosts.client.create_endpoint_config(
            EndpointConfigName="x", ProductionVariants=[VARIANT], ShadowProductionVariants=[{**VARIANT, "VariantName": "other"}]
        )


@pytest.mark.parametrize("damage", ["cut", "empty", "lacks"])
@pytest.mark.parametrize(
    ("call", "path_of", "members"),
    [
        ("describe_model", lambda root: model_path(root, "one"), MODEL),
        ("describe_endpoint_config", lambda root: config_path(root, "one"), ENDPOINT_CONFIG),
        ("describe_endpoint", lambda root: hosted(root, "one").record_path, ENDPOINT),
    ],
)
def test_a_damaged_record_is_named_and_what_to_do(hosts, call, path_of, members, damage):
    hosts.version("one")
    hosts.client.create_endpoint(EndpointName="one", EndpointConfigName="one")
    path = path_of(hosts.root)
    if damage == "lacks":
        record = read_json(path)
        del record[sorted(members)[0]]
        write_json(path, record)
    else:
        path.write_bytes(path.read_bytes()[:40] if damage == "cut" else b"")
    argument = {
        "describe_model": "ModelName",
        "describe_endpoint_config": "EndpointConfigName",
        "describe_endpoint": "EndpointName",
    }
    with pytest.raises(DamagedError, match="deploy again") as raised:
        getattr(hosts.client, call)(**{argument[call]: "one"})
    assert str(path) in str(raised.value)


def test_an_endpoint_whose_record_is_gone_is_said_to_be_damaged(hosts):
    hosts.version("one")
    hosts.client.create_endpoint(EndpointName="ep", EndpointConfigName="one", DeploymentConfig=GUARDED)
    hosted(hosts.root, "ep").record_path.unlink()
    with pytest.raises(DamagedError, match=r"endpoint\.json: is gone: move the folder .* away and deploy again"):
        hosts.state("ep")
