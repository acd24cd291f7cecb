"""The roles' policies against the calls that are made in their names: all of them are allowed, and nothing else is.

A person's calls are those of every verb, recorded from botocore's events; the pipeline's are those that the service makes of a
definition's steps; a job's are those of its store. What the service does besides in a role's name is written in
``infra.checks.needs``, with statements of its own.
"""

import hashlib
import json
from datetime import datetime

import boto3
import pytest
import yaml
from boto3.s3.transfer import TransferConfig
from pathology import champion
from pathology.contracts.comparison.file import Look
from pathology.contracts.storage import S3Store, Store
from pathology.contracts.uris import Uri

from infra.checks.approval import DECIDED
from infra.checks.template import Stack
from pipelines import config
from pipelines.__main__ import VERBS
from pipelines.checks.expressions import all_steps
from pipelines.checks.shapes import OPERATIONS
from pipelines.config import load_environment, load_task
from pipelines.service.decisions import ACCEPTED, AT, BY, DECISION
from pipelines.tasks import NAMES, task_spec
from tests.infra.calls import ARN, PASSED, Call, needed, of_sagemaker, refused, surplus
from tests.infra.deploying import ACCOUNT as MOTO_ACCOUNT
from tests.pipelines import registry

OF_WHO_DEPLOYS = {"environment", "doctor"}
"""Verbs for whoever deploys the stack. They read what an administrator reads, IAM and quotas too, of which AuthorPolicy has nothing."""
OF_WHO_REVIEWS = {"approve", "reject"}
"""Verbs for whoever has ApproverPolicy besides."""
OF_WHO_HOSTS = {"deploy", "endpoints", "invoke", "undeploy"}
"""Verbs for whoever has DeployerPolicy besides."""
AUTHOR, PIPELINE, JOB = "NotebookRole", "PipelineRole", "JobRole"
FOLLOWED = {
    "CreateProcessingJob": ("DescribeProcessingJob", "StopProcessingJob"),
    "CreateTrainingJob": ("DescribeTrainingJob", "StopTrainingJob"),
    "CreateModelPackage": ("DescribeModelPackage", "DescribeModelPackageGroup"),
}
"""How the service goes on with what a step made (SageMaker developer guide, "IAM access management" of pipelines)."""


GROUP, VERSION = "pathology-msi", f"{ARN}:model-package/pathology-msi/1"
AWAITED_VERBS = {
    "clean": [("s3", "DeleteObject", {"Key": f"{prefix}/msi/x"}) for prefix in ("prepared", "runs")],
    "versions": [("sagemaker", "ListModelPackages", {"ModelPackageGroupName": GROUP})],
}
AWAITED_STEPS = {}
"""Calls of verbs and of steps' jobs for which the rights are there already. Each counts until its verb or step is there, and from
then on what that really calls."""


def awaited(env, calls, there):
    """The calls of those that are not there yet."""
    for name, expected in calls.items():
        for service, operation, given in expected if name not in there else ():
            yield from needed(env, service, operation, {"Bucket": env.bucket, **given} if service == "s3" else given)


@pytest.fixture
def stack(parsed):
    """The templates, their references being those of environments/example.yaml."""
    env = load_environment("example")
    values = {
        "Bucket.Arn": f"arn:aws:s3:::{env.bucket}",
        "Key.Arn": env.kms_key,
        "PipelineRole.Arn": env.pipeline_role,
        "JobRole.Arn": env.job_role,
        "PrivateSubnetA": env.network.subnets[0],
        "PrivateSubnetB": env.network.subnets[1],
        "JobSecurityGroup": env.network.security_groups[0],
    }
    return Stack(parsed, values=values)


# ---- A person ----


@pytest.fixture
def recording(monkeypatch, example):
    """Calls of every boto3 client made from now on."""
    calls, make = [], boto3.Session.client

    def client(self, name, *arguments, **options):
        made = make(self, name, *arguments, **options)

        def note(params, model, **_):
            calls.extend(needed(example, model.service_model.service_name, model.name, params))

        made.meta.events.register("before-parameter-build.*.*", note)
        return made

    monkeypatch.setattr(boto3.Session, "client", client)
    return calls


@pytest.fixture
def played(before_send, example):
    """``played("failed")``: recorded answers for the calls that moto lacks, from now on."""
    from pipelines.builder import build
    from tests.pipelines.on_aws import RECORDINGS, Recorded

    playing, definition = {}, build("msi", load_task("msi", example), example).text
    always = {
        "DescribePipelineDefinitionForExecution": [{"PipelineDefinition": definition}],
        "ListPipelineParametersForExecution": [{"PipelineParameters": []}],
    }
    before_send(lambda request, **_: playing["now"](request) if playing else None)

    def play(name, **more):
        playing["now"] = Recorded({**always, **json.loads((RECORDINGS / f"{name}.json").read_text()), **more})

    return play


EXECUTION = f"{ARN}:pipeline/pathology-msi/execution/abc123def456"
ON_AWS = ("--environment", "example")


def trained():
    """Answers about an execution with a training job, of which the recordings have none that is looked at."""
    job = "pipelines-abc123def456-TrainMsi-Xy12AbCd34"
    steps, describe = ("PipelineExecutionSteps", "DescribeTrainingJob")
    step = {"StepName": "TrainMsi", "StepStatus": "Failed", "StartTime": 1794000403.0, "EndTime": 1794000404.0, "AttemptCount": 1}
    step["Metadata"] = {"TrainingJob": {"Arn": f"{ARN}:training-job/{job}"}}
    resources = {"InstanceCount": 1, "InstanceType": "ml.g5.xlarge", "VolumeSizeInGB": 100}
    return {
        "ListPipelineExecutionSteps": [{steps: [step]}],
        describe: [{"TrainingJobName": job, "TrainingJobStatus": "Failed", "ResourceConfig": resources}],
    }


def person(here, played, env, folder, monkeypatch):
    """Every verb, in the ways that call AWS differently; what each answered.

    Besides, a person uploads the encoder and data sets with the aws command (docs/deploy.md), which puts large files in parts too.
    """
    done = {}

    def run(verb, *arguments):
        done.setdefault(verb, []).append(here(verb, *arguments))

    for task in NAMES:
        run("upsert", "--task", task, *ON_AWS)
        run("upsert", "--task", task, *ON_AWS)
        run("start", "--task", task, *ON_AWS, "--no-wait")
        run("executions", "--task", task, *ON_AWS)
        for verb in ("validate", "graph"):
            run(verb, "--task", task, *ON_AWS)
    changed = yaml.safe_load((config.DEFINITIONS / "msi.yaml").read_text())
    changed["train"]["hyperparameters"]["epochs"] = 33
    (folder / "msi.yaml").write_text(yaml.safe_dump(changed))
    with monkeypatch.context() as patch:
        patch.setattr(config.load_task, "__defaults__", (folder, "train"))
        run("upsert", "--task", "msi", *ON_AWS)
    run("render", "--check")
    run("check_data", "--task", "msi", *ON_AWS)
    played("succeeded")
    for verb in ("watch", "show", "metrics"):
        run(verb, EXECUTION, *ON_AWS)
    played("failed")
    run("start", "--task", "msi", *ON_AWS, "--no-wait", "--only", "CollectFeatures", "--source", EXECUTION)
    run("show", EXECUTION, *ON_AWS)
    run("logs", EXECUTION, "PrepareMsi", *ON_AWS)
    played("failed", **trained())
    run("show", EXECUTION, *ON_AWS)
    run("logs", EXECUTION, "TrainMsi", *ON_AWS)
    played("stopped")
    run("stop", EXECUTION, *ON_AWS)
    played("retried")
    run("retry", EXECUTION, *ON_AWS)
    summary = {
        "ModelPackageArn": f"{ARN}:model-package/pathology-msi/7",
        "CreationTime": 1794000000.0,
        "ModelPackageStatus": "Completed",
    }
    played("succeeded", ListModelPackages=[{"ModelPackageSummaryList": [summary]}])
    for arguments in (("versions",), ("version",), ("version", "7")):
        run(*arguments, "--task", "msi", *ON_AWS)
    run("predict", "--task", "msi", "s3://pathology-111122223333/incoming", "--version", "7", *ON_AWS, "--no-wait")
    run("review", "--task", "msi", "--html", str(folder / "review.html"), *ON_AWS)
    played("succeeded")
    run("compare", EXECUTION, EXECUTION, "--task", "msi", *ON_AWS)
    run("report", EXECUTION, "--task", "msi", "--output", str(folder / "report.html"), *ON_AWS)
    played("failed", **trained())
    run("clean", "--task", "msi", *ON_AWS, "--older-than", "90d", "--yes")
    run("delete", "--task", "msi", *ON_AWS, "--yes")
    return done


def test_a_person_may_do_what_every_verb_does_and_nothing_else(
    stack, server, quick, here, played, recording, example, monkeypatch, tmp_path
):
    put_results(example)
    put_endpoint()
    recording.clear()
    done = person(here, played, example, tmp_path, monkeypatch)
    assert done.keys() == set(VERBS) - OF_WHO_DEPLOYS - OF_WHO_REVIEWS - OF_WHO_HOSTS
    crashed = {verb: [one.err for one in runs if "Traceback" in one.err or one.code == 2] for verb, runs in done.items()}
    assert {verb: errors for verb, errors in crashed.items() if errors} == {}
    assert len(recording) > 50
    break_off_an_upload(example, tmp_path)
    # check_data runs Prepare in a process of its own, which lists the slides.
    assert not list(S3Store(boto3.client("s3")).list(Uri("s3", example.bucket, "datasets/none")))
    recording.extend(awaited(example, AWAITED_VERBS, VERBS))
    assert refused(stack, AUTHOR, recording) == []
    assert surplus(stack, AUTHOR, recording) == []


def put_endpoint():
    """An endpoint as deploy leaves it, for version to find."""
    sagemaker, tags = boto3.client("sagemaker"), [{"Key": "task", "Value": "msi"}, {"Key": "model-package", "Value": VERSION}]
    sagemaker.create_model(ModelName=GROUP, ExecutionRoleArn="arn:aws:iam::111122223333:role/x", PrimaryContainer={"Image": "i"})
    variant = {"VariantName": "all", "ModelName": GROUP, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=GROUP, ProductionVariants=[variant], Tags=tags)
    sagemaker.create_endpoint(EndpointName=GROUP, EndpointConfigName=GROUP, Tags=tags)


def put_results(env):
    """What an execution leaves behind, and a log; and what an older one left."""
    from moto.s3.models import s3_backends

    interval = {"value": 0.9, "low": 0.8, "high": 1.0}
    block = {
        "task": "msi",
        "n": 2,
        "positives": 1,
        "threshold": 0.5,
        "intervals": {"auroc": interval},
        "confidence": 0.95,
        "cautions": [],
        "seen": {"unit": "patients", "test_items": 2, "seen": 0, "names": []},
        "data_uris": {"slides": f"s3://{env.bucket}/prepared/msi/{'b' * 32}/slides.csv"},
        "model": {"version": "v1", "config_sha256": "c", "archive_uri": f"s3://{env.bucket}/a.tar.gz"},
    }
    predictions = "patient_id,site,label,probability,slide_ids\nP1,A1,1,0.9,P1-DX1\nP2,A1,0,0.2,P2-DX1\n"
    page = "<html>\n<body>\n</body>\n</html>"
    for file, content in (
        ("evaluation.json", json.dumps({"pathology": block})),
        ("predictions.csv", predictions),
        ("report.html", page),
    ):
        key = f"runs/pathology-msi/abc123def456/EvaluateMsi/evaluation/{file}"
        boto3.client("s3").put_object(Bucket=env.bucket, Key=key, Body=content.encode())
    for key in (f"runs/pathology-msi/{'a' * 12}/x", f"prepared/msi/{'a' * 32}/COMPLETE"):
        boto3.client("s3").put_object(Bucket=env.bucket, Key=key, Body=b"x")
        s3_backends[MOTO_ACCOUNT]["aws"].buckets[env.bucket].keys[key].last_modified = datetime(2020, 1, 1)
    for kind, step in (("Processing", "PrepareMsi"), ("Training", "TrainMsi")):
        logs, group = boto3.client("logs"), f"/aws/sagemaker/{kind}Jobs"
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=f"pipelines-abc123def456-{step}-Xy12AbCd34/algo-1-1")


# ---- A pipeline ----


def pipeline_calls():
    """What the service calls in the pipeline role's name to run every step of every task, and to stop it again."""
    from pipelines.builder import build

    env = load_environment("example")
    for task, kind in [(name, kind) for name in NAMES for kind in task_spec(name).pipelines]:
        for step in all_steps(build(task, load_task(task, env, kind=kind), env, kind).definition):
            if step["Type"] not in OPERATIONS:
                continue
            operation, named = OPERATIONS[step["Type"]]
            job = f"pipelines-abc123def456-{step['Name']}-Xy12AbCd34"
            given = {**step["Arguments"], **dict.fromkeys(named, job)}
            calls = list(of_sagemaker(operation, given))
            yield from calls
            yield from (Call(f"sagemaker:{name}", calls[0].resource) for name in FOLLOWED[operation])
            if operation == "CreateModelPackage":
                version = calls[0].resource.replace(":model-package-group/", ":model-package/") + "/7"
                yield from (Call(f"sagemaker:{name}", version) for name in (operation, *FOLLOWED[operation]))


def test_a_pipeline_may_do_what_its_steps_ask_and_nothing_else(stack):
    calls = list(pipeline_calls())
    assert {call.action for call in calls} >= {"sagemaker:CreateTrainingJob", "sagemaker:CreateModelPackage", "iam:PassRole"}
    assert refused(stack, PIPELINE, calls) == []
    assert surplus(stack, PIPELINE, calls) == []


def test_a_pipeline_may_not_do_it_elsewhere(stack):
    """The same calls with another job's name, network or role."""
    calls = {call.action: call for call in pipeline_calls()}
    create = calls["sagemaker:CreateTrainingJob"]
    elsewhere = {**create.context, "sagemaker:VpcSubnets": ["subnet-99999999"]}
    for call in (
        Call(create.action, create.resource, elsewhere),
        Call(create.action, create.resource),
        Call(create.action, f"{ARN}:training-job/mine", create.context),
        Call("iam:PassRole", load_environment("example").pipeline_role, PASSED),
        Call("iam:PassRole", calls["iam:PassRole"].resource, {"iam:PassedToService": "ec2.amazonaws.com"}),
        Call("sagemaker:CreateEndpoint", f"{ARN}:endpoint/pathology-msi"),
    ):
        assert refused(stack, PIPELINE, [call]) == [str(call)]


# ---- A job ----


def use_store(store, folder, bucket):
    """Every method of a store, on small objects and on one of many parts."""
    uri = Uri("s3", bucket, "features/msi/a.h5")
    (folder / "big").write_bytes(b"x" * (TransferConfig().multipart_threshold + 1))
    store.write(uri, b"small")
    assert store.read(uri) == b"small"
    with store.open(uri) as opened:
        assert opened.read(2) == b"sm"
    assert store.create(uri, b"again") is False
    assert store.entry(uri).bytes == 5
    store.upload(folder / "big", uri / "big")
    store.download(uri / "big", folder / "back")
    store.fetch(uri, folder / "fetched")
    assert hashlib.sha256((folder / "back").read_bytes()).digest() == hashlib.sha256((folder / "big").read_bytes()).digest()
    assert len(list(store.list(Uri("s3", bucket, "features")))) == 2


def break_off_an_upload(env, folder):
    """A file of many parts whose upload fails at its end; what has arrived is taken back."""
    (folder / "big").write_bytes(b"x" * (TransferConfig().multipart_threshold + 1))

    def fail(**_):
        raise ConnectionError

    client = boto3.client("s3")
    client.meta.events.register("before-call.s3.CompleteMultipartUpload", fail)
    with pytest.raises(ConnectionError):
        S3Store(client).upload(folder / "big", Uri("s3", env.bucket, "datasets/broken"))


@pytest.fixture
def used(server, recording, example, tmp_path):
    """A job's calls: those of its store, and those of a step that describes a version."""
    from pathology.commands.describe import describe
    from pathology.registry import open_registry

    client = open_registry()
    client.create_model_package_group(ModelPackageGroupName=GROUP)
    arns = [registry.add(client, S3Store(boto3.client("s3")), example.bucket) for _ in range(2)]
    recording.clear()
    evaluation = registry.evaluation({"cohort": "c" * 64}, {}, "d" * 64, f"s3://{example.bucket}/model.tar.gz")
    described = describe(client, arns[1], evaluation)
    assert (described.warnings, described.compared_with) == ([], 1)
    methods = {name for name in vars(Store) if not name.startswith("_")}
    assert methods == {"read", "open", "write", "create", "entry", "list", "download", "fetch", "upload"}, (
        "a new method: use it above"
    )
    use_store(S3Store(boto3.client("s3")), tmp_path, example.bucket)
    break_off_an_upload(example, tmp_path)
    look_for_the_champion(recording, S3Store(boto3.client("s3")), example.bucket)
    return recording


def look_for_the_champion(recording, store, bucket):
    """What a Compare job asks the registry, where a version is approved, and its look in the ledger."""
    registry = boto3.client("sagemaker")
    before = list(recording)
    registry.create_model_package(ModelPackageGroupName=GROUP, ModelApprovalStatus="Approved")
    recording[:] = before  # somebody else's calls
    assert champion.find_champion(registry, GROUP).name == "version 3"
    look = Look(task="msi", test_sha256="a" * 64, items=98, evaluation_sha256="b" * 64, passed=True, message="it passed")
    assert champion.count_looks(store, Uri("s3", bucket, "ledger/msi/x"), look) == 1


def kinds_of_steps():
    """``Prepare``, ``Train`` and so on: the names of all tasks' steps without the task's."""
    definitions = {task: json.loads((config.DEFINITIONS / f"{task}.json").read_text()) for task in NAMES}
    return {step["Name"].removesuffix(task.title()) for task in NAMES for step in all_steps(definitions[task])}


def test_a_job_may_do_what_its_store_does_and_nothing_else(stack, used, example):
    assert {call.action for call in used} >= {"s3:AbortMultipartUpload", "kms:GenerateDataKey", "s3:ListBucket"}
    assert {call.action for call in used} >= {"sagemaker:UpdateModelPackage", "sagemaker:ListModelPackages"}
    assert kinds_of_steps() >= {"Prepare", "Train", "Evaluate", "Compare", "Register", "Describe"}
    used.extend(awaited(example, AWAITED_STEPS, kinds_of_steps()))
    assert refused(stack, JOB, used) == []
    assert surplus(stack, JOB, used) == []


def test_a_job_may_not_delete_start_or_touch_another_bucket(stack, example):
    bucket = f"arn:aws:s3:::{example.bucket}"
    for call in (
        Call("s3:DeleteObject", f"{bucket}/runs/x"),
        Call("s3:DeleteBucket", bucket),
        Call("s3:GetObject", "arn:aws:s3:::somebody-elses/x"),
        Call("sagemaker:CreateTrainingJob", f"{ARN}:training-job/pipelines-x"),
        Call("iam:PassRole", example.job_role, PASSED),
        Call("kms:ScheduleKeyDeletion", example.kms_key),
        Call("sagemaker:DeleteModelPackage", VERSION),
        Call("sagemaker:UpdateModelPackage", f"{ARN}:model-package/mine/1"),
    ):
        assert refused(stack, JOB, [call]) == [str(call)]


# ---- Who approves ----
APPROVING = (
    ("UpdateModelPackage", {"ModelPackageArn": VERSION, "ModelApprovalStatus": "Approved", "ApprovalDescription": "read"}),
    ("UpdateModelPackage", {"ModelPackageArn": VERSION, "ModelApprovalStatus": "Rejected"}),
    ("UpdateModelPackage", {"ModelPackageArn": VERSION, "ModelLifeCycle": {"Stage": "Production", "StageStatus": "Approved"}}),
)


@pytest.mark.parametrize(("operation", "given"), APPROVING)
def test_a_reviewer_approves_and_nobody_else_does(template, stack, operation, given):
    calls = list(of_sagemaker(operation, given))
    for role in (AUTHOR, PIPELINE, JOB):
        assert refused(stack, role, calls) == [str(call) for call in calls]
    template["Resources"][AUTHOR]["Properties"]["ManagedPolicyArns"].append({"Ref": "ApproverPolicy"})
    assert refused(Stack(template, values=stack.values), AUTHOR, calls) == []
    for role in (PIPELINE, JOB):  # whatever is attached later
        template["Resources"][role]["Properties"]["ManagedPolicyArns"].append({"Ref": "ApproverPolicy"})
        assert refused(Stack(template, values=stack.values), role, calls) == [str(call) for call in calls]


def test_a_pipeline_registers_no_version_that_is_approved(stack):
    def registering(status):
        given = {"ModelPackageGroupName": GROUP, "ModelApprovalStatus": status}
        return list(of_sagemaker("CreateModelPackage", given))

    assert refused(stack, PIPELINE, registering("PendingManualApproval")) == []
    assert refused(stack, PIPELINE, registering("Approved")) == [
        f"sagemaker:CreateModelPackage on {ARN}:model-package-group/{GROUP}"
    ]


# ---- Who deploys ----
def hosting(here, folder, monkeypatch, sagemaker, bucket):
    """Every verb on endpoints, in the ways that call AWS differently; what each answered."""
    store, done = S3Store(boto3.client("s3")), {}
    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    for patients in (("P1",), ("P2",)):
        arn = registry.add(sagemaker, store, bucket, patients=patients)
        metadata = sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", CustomerMetadataProperties=metadata)
    request = folder / "slides.json"
    request.write_text('{"slides": []}')
    yield

    def run(verb, *arguments):
        done.setdefault(verb, []).append(here(verb, *arguments, *ON_AWS))

    changed = yaml.safe_load((config.DEFINITIONS / "msi.yaml").read_text())
    changed["endpoint"] |= {"max-instances": 3}
    (folder / "msi.yaml").write_text(yaml.safe_dump(changed))
    run("deploy", "--task", "msi", "--version", "1", "--sample", str(request))
    with monkeypatch.context() as patch:
        patch.setattr(config.load_task, "__defaults__", (folder, "train"))
        run("deploy", "--task", "msi", "--version", "2", "--sample", str(request))
    run("endpoints")
    (folder / "slides.csv").write_text("x\n")
    run("undeploy", "--task", "msi", "--yes")
    yield done


def test_who_deploys_may_do_what_the_verbs_do_and_nothing_else(
    template, stack, server, quick, here, before_send, recording, example, monkeypatch, tmp_path
):
    from tests.pipelines.service.hosting.account import Account

    answering = Account()
    before_send(answering)
    sagemaker = boto3.client("sagemaker")
    acting = hosting(here, tmp_path, monkeypatch, sagemaker, example.bucket)
    next(acting)
    answering.any_model = True
    recording.clear()
    done = next(acting)
    assert done.keys() == OF_WHO_HOSTS - {"invoke"}, "deploy's first request is invoke's call"
    assert [one.err for runs in done.values() for one in runs if one.code] == []
    assert {call.action for call in recording} >= {"sagemaker:InvokeEndpoint", "application-autoscaling:PutScalingPolicy"}
    attached = template["Resources"][AUTHOR]["Properties"]["ManagedPolicyArns"]
    attached.append({"Ref": "DeployerPolicy"})
    with_it = Stack(template, values=stack.values)
    assert refused(with_it, AUTHOR, recording) == []
    assert [line for line in surplus(with_it, AUTHOR, recording) if line.startswith("DeployerPolicy")] == []
    for role in (AUTHOR, PIPELINE, JOB):
        assert "sagemaker:CreateEndpoint on" in " ".join(refused(stack, role, recording))


# ---- The test itself ----


def statement(template, role, sid):
    for policy in template["Resources"][role]["Properties"]["Policies"]:
        for one in policy["PolicyDocument"]["Statement"]:
            if one["Sid"] == sid:
                return one
    raise LookupError(sid)


def test_one_action_less_or_more_is_seen(template, stack):
    calls = list(pipeline_calls())
    follow = statement(template, PIPELINE, "FollowTagAndStopJobs")
    follow["Action"] = [action for action in follow["Action"] if action != "sagemaker:StopTrainingJob"] + [
        "sagemaker:UpdateTrainingJob"
    ]
    changed = Stack(template, values=stack.values)
    assert refused(changed, PIPELINE, calls)
    assert all("sagemaker:StopTrainingJob" in line for line in refused(changed, PIPELINE, calls))
    assert surplus(changed, PIPELINE, calls) == ["PipelineRole/pipeline, FollowTagAndStopJobs: sagemaker:UpdateTrainingJob"]


def test_the_keys_that_jobs_may_not_write_are_those_of_a_decision():
    assert set(DECIDED) == {DECISION, BY, AT, ACCEPTED}
