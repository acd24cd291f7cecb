"""deploy, endpoints, invoke and undeploy in an AWS account: moto's server, and answers given in its place where it has none."""

import json

import boto3
import pytest
from pathology.contracts.storage import S3Store

from tests.pipelines import registry
from tests.pipelines.service.hosting.account import Account

ON_AWS = ("--task", "msi", "--environment", "example")
NAME = registry.GROUP
SLIDES = {"slides": [{"slide_id": "S1", "features": "s3://bucket/S1.h5", "sha256": "a" * 64}]}


@pytest.fixture
def sagemaker(server):
    client = boto3.client("sagemaker", region_name="us-east-1")
    client.create_model_package_group(ModelPackageGroupName=registry.GROUP)
    return client


@pytest.fixture
def add(sagemaker, example):
    store = S3Store(boto3.client("s3", region_name="us-east-1"))

    def make(status="Approved", **changes):
        arn = registry.add(sagemaker, store, example.bucket, **changes)
        metadata = sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, CustomerMetadataProperties=metadata)
        return arn

    return make


@pytest.fixture
def account(before_send, quick, monkeypatch):
    monkeypatch.setattr("pipelines.service.hosting.asking._LONGEST_WAIT", 0.01)
    answering = Account()
    before_send(answering)
    return answering


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "slides.json"
    path.write_text(json.dumps(SLIDES))
    return str(path)


def served(sagemaker, account, number=1):
    version = sagemaker.describe_model_package(
        ModelPackageName=f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{NAME}/{number}"
    )
    account.model = version["CustomerMetadataProperties"]["model_version"]


def last(done):
    return done.err.splitlines()[-1]


def test_the_latest_approved_version_becomes_an_endpoint_that_answers(add, sagemaker, account, here, sample):
    arns = [add(), add("PendingManualApproval")]
    served(sagemaker, account)
    done = here("deploy", *ON_AWS, "--sample", sample, "--json")
    found = json.loads(done.out)
    assert (done.code, found["outcome"], found["version"], found["answer"]["label"]) == (0, "created", 1, "MSS"), done.err
    endpoint = sagemaker.describe_endpoint(EndpointName=NAME)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.xlarge", 1)
    assert model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"].endswith("/output/model.tar.gz")
    assert "AdditionalModelDataSources" not in model["PrimaryContainer"], "msi's endpoint runs no encoder"
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]}
    assert (tags["task"], tags["model-package"], "unapproved" in tags) == ("msi", arns[0], False)
    alarms = boto3.client("cloudwatch", region_name="us-east-1").describe_alarms()["MetricAlarms"]
    assert [alarm["MetricName"] for alarm in alarms] == ["Invocation5XXErrors"]


def test_the_same_again_changes_nothing_and_asks_all_the_same(add, sagemaker, account, here, sample):
    add()
    served(sagemaker, account)
    assert here("deploy", *ON_AWS, "--sample", sample).code == 0
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "version 1 in service, unchanged" in done.out, len(account.requests)) == (0, True, 2), done.err
    assert account.updates == []


def test_another_version_updates_with_guardrails_and_takes_the_old_models_place(add, sagemaker, account, here, sample):
    add()
    served(sagemaker, account)
    assert here("deploy", *ON_AWS, "--sample", sample).code == 0
    before = sagemaker.describe_endpoint(EndpointName=NAME)["EndpointConfigName"]
    add(patients=("P03", "P04"))
    served(sagemaker, account, 2)
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "version 2 in service, updated" in done.out) == (0, True), done.err
    (update,) = account.updates
    policy = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"] == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}
    assert update["DeploymentConfig"]["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": f"{NAME}-errors"}]}
    names = {one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    assert names == {update["EndpointConfigName"]} and before not in names


def test_a_rolled_back_update_and_a_first_answer_that_fails_leave_the_old_version(add, sagemaker, account, here, sample):
    add()
    served(sagemaker, account)
    assert here("deploy", *ON_AWS, "--sample", sample).code == 0
    old = sagemaker.describe_endpoint(EndpointName=NAME)["EndpointConfigName"]
    add(patients=("P03", "P04"))
    account.statuses = [("Updating", old), ("RollingBack", old), ("InService", old)]
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "version 2 was rolled back" in last(done), "serves version 1 as before" in last(done)) == (1, True, True)
    assert [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]] == [old]

    served(sagemaker, account, 2)
    refusal = {
        "ErrorCode": "ModelError",
        "OriginalStatusCode": 500,
        "OriginalMessage": '{"error": "the model failed"}',
        "Message": "m",
    }
    account.updates.clear()
    account.answers = [(424, {"__type": "ModelError", **refusal})] * 6
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert done.code == 1 and "failed its first request" in last(done) and "500: the model failed" in last(done), done.err
    assert account.updates[-1]["EndpointConfigName"] == old and "serves version 1 again" in last(done)
    assert [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]] == [old]


def test_a_new_endpoint_that_answers_as_another_model_is_taken_away(add, sagemaker, account, here, sample):
    add()
    account.model = "0123456789ab"
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "model 0123456789ab answers, and version 1 is model" in last(done)) == (1, True), done.err
    assert sagemaker.list_endpoints()["Endpoints"] == sagemaker.list_models()["Models"] == []


def test_who_deploys_unapproved_says_so_and_the_tags_keep_it(add, sagemaker, account, here, sample):
    add("PendingManualApproval")
    served(sagemaker, account)
    nothing = here("deploy", *ON_AWS)
    assert (nothing.code, "has no approved version in pathology-msi" in last(nothing)) == (2, True)
    refused = here("deploy", *ON_AWS, "--version", "1")
    assert (refused.code, "say --allow-unapproved" in last(refused)) == (2, True)
    done = here("deploy", *ON_AWS, "--version", "1", "--allow-unapproved", "--sample", sample)
    assert (done.code, "warning: nobody approved it" in done.out) == (0, True), done.err
    listed = json.loads(here("endpoints", *ON_AWS, "--json").out)
    assert listed[0]["unapproved"].startswith("PendingManualApproval and allowed by arn:aws:sts::")


def test_what_may_not_be_deployed_is_refused_in_one_line_and_nothing_is_made(
    add, sagemaker, account, here, sample, example, before_send, aws_response
):
    arn = add()
    s3 = boto3.client("s3", region_name="us-east-1")
    archive = sagemaker.describe_model_package(ModelPackageName=arn)["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    key = archive.removeprefix(f"s3://{example.bucket}/")
    content = s3.get_object(Bucket=example.bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=example.bucket, Key=key, Body=content + b"x")
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "is not the one that was evaluated and registered" in last(done)) == (2, True)
    s3.delete_object(Bucket=example.bucket, Key=key)
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "its artefact is gone" in last(done)) == (2, True)
    s3.put_object(Bucket=example.bucket, Key=key, Body=content)

    limit = "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0 Instances, with current utilization of 0 Instances."
    before_send(
        lambda request, **_: (
            aws_response(400, {"__type": "ResourceLimitExceeded", "message": limit})
            if (request.headers.get("X-Amz-Target") or b"").rpartition(b".")[2] == b"CreateEndpoint"
            else None
        )
    )
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "is 0 Instances" in last(done), "Service Quotas" in last(done)) == (2, True, True), done.err
    assert sagemaker.list_models()["Models"] == sagemaker.list_endpoint_configs()["EndpointConfigs"] == []


def test_a_name_that_is_taken_and_a_host_that_is_not_allowed(add, sagemaker, account, here, sample):
    add()
    sagemaker.create_model(ModelName="m", ExecutionRoleArn="arn:aws:iam::111122223333:role/x", PrimaryContainer={"Image": "i"})
    variant = {"VariantName": "all", "ModelName": "m", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="c", Tags=[{"Key": "task", "Value": "mhist"}])
    for verb in (("deploy", "--sample", sample), ("undeploy", "--yes"), ("invoke", "x.csv")):
        done = here(*verb, *ON_AWS, "--name", "other")
        assert (done.code, "choose another name with --name" in last(done)) == (2, True), done.err
    done = here("deploy", *ON_AWS, "--name", "-no-")
    assert (done.code, "letters, digits and single hyphens" in last(done)) == (2, True)
    version = sagemaker.create_model_package(ModelPackageGroupName=NAME, ModelApprovalStatus="Approved")["ModelPackageArn"]
    done = here("deploy", *ON_AWS, "--version", version)
    assert (done.code, "was registered for no endpoint, and the YAML's endpoint has ml.m5.xlarge" in last(done)) == (2, True)


def test_a_dry_run_prints_every_request_and_makes_nothing(add, sagemaker, account, here):
    add()
    done = here("deploy", *ON_AWS, "--dry-run")
    operations = [one["operation"] for one in json.loads(done.out)]
    assert operations == ["PutMetricAlarm", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert sagemaker.list_models()["Models"] == []


def test_endpoints_are_listed_with_costs_and_taken_away_and_versions_stay(add, sagemaker, account, here, sample, tmp_path):
    add()
    served(sagemaker, account)
    assert here("deploy", *ON_AWS, "--sample", sample).code == 0
    prices = tmp_path / "prices.csv"
    prices.write_text("instance_type,hourly\nml.m5.xlarge,0.23\n")
    (one,) = json.loads(here("endpoints", *ON_AWS, "--prices", str(prices), "--json").out)
    assert (one["endpoint"], one["task"], one["version"], one["status"]) == (NAME, "msi", "1", "InService")
    assert one["hourly"] == pytest.approx(0.23 * one["instances"])
    shown = here("endpoints", "--environment", "example").out
    assert NAME in shown and max(map(len, shown.splitlines())) <= 80
    for content, fault in (("type,hourly\n", "'instance_type' is missing"), ("instance_type,hourly\nx,dear\n", "line 2: 'dear'")):
        prices.write_text(content)
        done = here("endpoints", "--environment", "example", "--prices", str(prices))
        assert (done.code, fault in last(done)) == (2, True)
    asked = here("undeploy", *ON_AWS)
    assert (asked.code, "say --yes" in last(asked)) == (2, True)
    done = here("undeploy", *ON_AWS, "--yes")
    assert (done.code, "version 1 of msi is where it was" in done.out) == (0, True), done.err
    assert sagemaker.list_endpoints()["Endpoints"] == sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    assert len(sagemaker.list_model_packages(ModelPackageGroupName=NAME)["ModelPackageSummaryList"]) == 1
    assert boto3.client("cloudwatch", region_name="us-east-1").describe_alarms()["MetricAlarms"] == []
    gone = here("undeploy", *ON_AWS, "--yes")
    assert (gone.code, "has no endpoint pathology-msi" in last(gone)) == (2, True)


@pytest.fixture
def yaml_with(monkeypatch, tmp_path):
    """``yaml_with(max_instances=3)``: msi's YAML with these keys of its endpoint."""
    import yaml

    from pipelines import config

    def change(**keys):
        content = yaml.safe_load((config.DEFINITIONS / "msi.yaml").read_text())
        content["endpoint"] |= {name.replace("_", "-"): value for name, value in keys.items()}
        (tmp_path / "msi.yaml").write_text(yaml.safe_dump(content))
        monkeypatch.setattr(config.load_task, "__defaults__", (tmp_path, "train"))

    return change


def targets():
    scaling = boto3.client("application-autoscaling", region_name="us-east-1")
    return scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]


def test_hosts_follow_the_load_until_their_type_changes_or_nobody_asks_for_it(add, sagemaker, account, here, sample, yaml_with):
    add()
    served(sagemaker, account)
    yaml_with(instance_count=2, max_instances=4, canary_percent=50, capture_percent=10)
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "2 to 4 hosts, by the load" in done.err) == (0, True), done.err
    (target,) = targets()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 4)
    name = sagemaker.describe_endpoint(EndpointName=NAME)["EndpointConfigName"]
    captured = sagemaker.describe_endpoint_config(EndpointConfigName=name)["DataCaptureConfig"]
    assert captured["InitialSamplingPercentage"] == 10 and captured["DestinationS3Uri"].endswith(f"/captured/{NAME}")
    yaml_with(instance_type="ml.m5.2xlarge", instance_count=2, max_instances=4, canary_percent=50)
    done = here("deploy", *ON_AWS, "--sample", sample)
    assert (done.code, "its hosts follow no load until it is deployed" in done.err, len(targets())) == (0, True, 1), done.err
    (update,) = account.updates
    routing = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (routing["Type"], routing["CanarySize"]) == ("CANARY", {"Type": "CAPACITY_PERCENT", "Value": 50})
    assert update["RetainAllVariantProperties"] is True
    yaml_with(instance_type="ml.m5.2xlarge", instance_count=1)
    assert here("deploy", *ON_AWS, "--sample", sample).code == 0
    assert targets() == []


@pytest.mark.parametrize(
    "keys, fault",
    [
        ({"instance_type": "ml.g5.xlarge"}, "endpoint.instance-type ml.g5.xlarge is not among register.instance-types"),
        ({"canary_percent": 10}, "canary-percent takes an instance-count of 2 or more"),
        ({"instance_count": 3, "max_instances": 2}, "max-instances 2 is below instance-count 3"),
        ({"capture_percent": 101}, "endpoint.capture-percent"),
        ({"replicas": 2}, "endpoint.replicas: unknown key"),
    ],
)
def test_settings_of_the_endpoint_that_cannot_be_meant(here, yaml_with, keys, fault):
    yaml_with(**keys)
    done = here("deploy", *ON_AWS)
    assert (done.code, fault in last(done)) == (2, True), done.err
