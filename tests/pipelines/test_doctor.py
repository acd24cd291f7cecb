"""The verb doctor: on an account in which all is well, with values that are wrong, and without the right to look."""

import json
import re

import boto3

from tests.pipelines import account as world
from tests.pipelines.health import account, answers, doctor, healthy

assert account and answers and doctor and healthy  # fixtures

READS = re.compile(r"(Describe|Get|List|Head|SimulatePrincipalPolicy)")


def test_nothing_is_wrong_where_nothing_is(doctor, account):
    assert (doctor(), doctor.problems) == (0, [])
    assert doctor.unknown.keys() == {"/features on EFS", "/models on EFS"}
    assert "cannot be seen from here" in doctor.unknown["/models on EFS"]
    assert doctor.ok["subnets"] == "2 private in us-east-1a, us-east-1b"
    assert doctor.ok["key"] == "enabled"
    assert doctor.ok["image training"] == f"pathology-training, tags {world.COMMIT}"
    assert {f"endpoint {name}" for name in ("s3", *world.INTERFACES)} <= doctor.ok.keys()
    assert doctor.ok["msi versions"] == "no group pathology-msi yet: upsert makes it"
    assert "sagemaker:CreateTrainingJob" in doctor.ok["pipeline role's policies"]


ELSEWHERE = f"arn:aws:iam::{'4' * 12}:role/pathology-job"


WRONG = {
    "subnets": ({"network": {"subnets": ["subnet-11112222"], "security_groups": ["sg-11112222"]}}, "no subnet subnet-11112222"),
    "bucket": ({"bucket": "nobody-has-this-bucket"}, "there is no bucket nobody-has-this-bucket"),
    "file system": ({"file_system": "fs-11112222"}, "no file system fs-11112222"),
    "job role": ({"job_role": ELSEWHERE}, "is of another account than 111122223333"),
    "key": ({"kms_key": f"arn:aws:kms:us-east-1:{world.ACCOUNT}:key/11112222-3333-4444-5555-666677778888"}, "there is no key"),
}


def test_each_wrong_value_of_the_environment_has_a_line(doctor, account, tmp_path):
    """All at once: no wrong value hides another."""
    account.write(tmp_path / "wrong.yaml", **{key: value for changes, _ in WRONG.values() for key, value in changes.items()})
    assert doctor() == 1
    messages = {check: [says for name, says in doctor.problems if name == check] for check in WRONG}
    assert [check for check, (_, message) in WRONG.items() if not any(message in says for says in messages[check])] == []


def test_one_zone_is_too_few(doctor, account, tmp_path):
    network = {"subnets": account.subnets[:1], "security_groups": [account.groups["jobs"]]}
    account.write(tmp_path / "one.yaml", network=network)
    assert doctor() == 1
    assert doctor.problems == [
        ("subnets", "all in zone us-east-1a: name one in a second zone, since capacity and endpoints want two")
    ]


def test_credentials_of_another_account_end_it_there(doctor, account, tmp_path):
    account.write(tmp_path / "other.yaml", account="4" * 12)
    assert doctor() == 1
    (only,) = doctor.problems
    assert only[0] == "credentials"
    assert doctor.unknown == {"everything else": "not examined, since the credentials come first"}
    assert doctor.ok == {}


def test_too_small_a_quota_and_one_that_nobody_knows(doctor, answers):
    answers.quotas["ml.g5.2xlarge for processing job usage"] = 2
    answers.quotas["ml.m5.xlarge for endpoint usage"] = 0
    del answers.quotas["ml.g5.xlarge for spot training job usage"]
    assert doctor() == 1
    assert [says.partition(":")[0] for check, says in doctor.problems if check == "quotas"] == [
        "ml.g5.2xlarge for processing job usage",
        "no endpoint of msi can run, ml.m5.xlarge for endpoint usage are 0",
    ]
    assert "a job takes 4" in dict(doctor.problems[:1])["quotas"]
    assert "ml.g5.xlarge for spot training job usage" in doctor.unknown["quotas"]


def test_a_policy_that_refuses_is_named_with_the_action(doctor, answers, account):
    answers.refused = {"iam:PassRole", "s3:ListBucket", "sagemaker:DescribeModelPackage"}
    assert doctor() == 1
    assert doctor.problems == [
        (
            "pipeline role's policies",
            f"iam:PassRole on arn:aws:iam::{world.ACCOUNT}:role/pathology-job is refused (implicitDeny): "
            "allow it in the role's policy",
        ),
        (
            "job role's policies",
            f"s3:ListBucket on arn:aws:s3:::{account.bucket} is refused (implicitDeny): allow it in the role's policy",
        ),
        (
            "job role's policies",
            f"sagemaker:DescribeModelPackage on arn:aws:sagemaker:us-east-1:{world.ACCOUNT}:model-package/pathology-msi/1 "
            "is refused (implicitDeny): allow it in the role's policy",
        ),
    ]


def test_what_cannot_be_asked_is_unknown_in_one_line_and_the_rest_is_seen(doctor, answers, before_send, aws_response):
    """IAM and EFS refuse, ECR answers nonsense."""
    answers.refused = None

    def refuse(request, **_):
        if "/file-systems" in request.url or "/mount-targets" in request.url:
            message = f"User: arn:aws:iam::{world.ACCOUNT}:user/me is not authorized to perform: elasticfilesystem:Describe on resource: x"
            return aws_response(403, {"Message": message, "__type": "AccessDeniedException"}, kind="application/json")
        if "ContainerRegistry" in str(request.headers.get("X-Amz-Target", "")):
            return aws_response(200, {"imageDetails": "nonsense"})
        return None

    before_send(refuse)
    assert (doctor(), doctor.problems) == (0, [])
    assert "lacks the permission elasticfilesystem:Describe" in doctor.unknown["file system"]
    assert "lacks the permission" in doctor.unknown["mount targets"]
    assert doctor.unknown["pipeline role's policies"].startswith("what it may do was not checked")
    assert "images" in doctor.unknown
    assert all("\n" not in says for says in doctor.unknown.values())
    assert doctor.ok["key"] == "enabled"


def test_without_credentials_it_says_so_once(doctor, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert doctor() == 1
    assert [check for check, _ in doctor.problems] == ["credentials"]


def test_nothing_is_changed(doctor, monkeypatch):
    """Every call of every client, by botocore's own events."""
    made, client = [], boto3.Session.client

    def recording(self, name, *arguments, **options):
        opened = client(self, name, *arguments, **options)
        opened.meta.events.register("before-call.*.*", lambda model, **_: made.append(f"{name}:{model.name}"))
        return opened

    monkeypatch.setattr(boto3.Session, "client", recording)
    doctor()
    assert {call.partition(":")[0] for call in made} >= {"sts", "iam", "s3", "kms", "ecr", "ec2", "efs", "service-quotas"}
    assert [call for call in made if not READS.match(call.partition(":")[2])] == []


def test_the_table_fits_and_counts(here, account, answers, tmp_path):
    account.write(tmp_path / "wrong.yaml", job_role=f"arn:aws:iam::{world.ACCOUNT}:role/nobody")
    done = here("doctor", "--environment", account.file, "--task", "msi")
    assert done.code == 1
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert re.fullmatch(r"\d+ ok, 1 problem, 2 unknown", lines[-1]), done.out
    assert done.err == f"environment dev (account {world.ACCOUNT}, us-east-1)\n"


def test_directories_are_looked_at_where_the_file_system_is_mounted(doctor, account, tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    (tmp_path / "efs" / "models").mkdir(parents=True)
    mounts.write_text(
        f"proc /proc proc rw 0 0\n{account.file_system}.efs.us-east-1.amazonaws.com:/ {tmp_path / 'efs'} nfs4 rw,vers=4.1 0 0\n"
    )
    monkeypatch.setattr("pipelines.service.health.efs.MOUNTS", mounts)
    assert doctor() == 1
    assert doctor.ok["/models on EFS"] == f"seen at {tmp_path / 'efs'}"
    ((check, says),) = doctor.problems
    assert (check, f"{account.file_system} has no directory /features" in says) == ("/features on EFS", True)


def test_a_policy_that_demands_tls_is_pointed_at(doctor, account, before_send, aws_response):
    deny = {"Effect": "Deny", "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    answer = {"FileSystemId": account.file_system, "Policy": json.dumps({"Version": "2012-10-17", "Statement": [deny]})}
    before_send(lambda request, **_: aws_response(200, answer) if request.url.endswith("/policy") else None)
    assert doctor() == 0
    assert "refuses mounts without TLS" in doctor.unknown["file-system policy"]


def test_here_there_is_an_encoder_and_data_to_look_for(here, monkeypatch, tmp_path):
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path))
    done = here("doctor", "--environment", "local", "--task", "msi", "--json")
    lines = json.loads(done.out)
    assert (done.code, lines[0]["state"]) == (1, "ok")
    assert "nothing in AWS to examine" in lines[0]["says"]
    assert [line["check"] for line in lines if line["state"] == "problem"] == [
        "encoder",
        "msi slides",
        "msi manifest",
        "msi labels",
    ]
    for key in (*world.DATA, "models/h-optimus-0/checkpoint.pth", "models/h-optimus-0/encoder.json"):
        path = tmp_path / "s3" / "local" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(world.MANIFEST) if path.suffix == ".json" else "x")
    done = here("doctor", "--environment", "local", "--task", "msi", "--json")
    assert done.code == 0
    assert "h-optimus-0 (not verified: named by hand) in s3://" in next(
        line["says"] for line in json.loads(done.out) if line["check"] == "encoder"
    )


def test_every_task_is_checked_unless_one_is_named(here, monkeypatch, tmp_path):
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path))
    for key in ("tcga-coad/liu.xlsx", "mhist/annotations.csv"):
        path = tmp_path / "s3" / "local" / "datasets" / key
        path.parent.mkdir(parents=True)
        path.touch()
    lines = {line["check"]: line for line in json.loads(here("doctor", "--json").out)}
    assert {"msi labels", "mhist annotations", "encoder"} <= lines.keys()
    assert lines["lizard"]["state"] == "unknown"
    assert "make demo TASK=lizard" in lines["lizard"]["says"]
    refused = here("doctor", "--task", "brain")
    assert (refused.code, "there is no task 'brain'" in refused.err) == (2, True)
