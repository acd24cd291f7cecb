"""Definitions run as processes: data flows, conditions decide, failures say why."""

import json
import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.uris import Uri

from tests.pipelines.checks.texts import NO_NUMBERS, NO_WHOLE_NUMBERS


def test_outputs_flow_to_inputs_and_into_arguments(account, make):
    account.pipeline(
        make.processing("First", "write", PropertyFiles=make.report("First")),
        make.processing(
            "Second", "copy", inputs={"data": make.get("First")}, environment={"SEEN": make.json_get("First", "list[1]")}
        ),
    )
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    job = account.client.describe_processing_job(
        ProcessingJobName=steps["Second"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    )
    folder = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert execution["PipelineExecutionArn"].rpartition("/")[2] in folder
    assert account.read(f"{folder}/algo-1-value.json").endswith(b"b")


def test_training_gets_channels_file_system_and_checkpoints(account, make):
    file_system = {
        "FileSystemDataSource": {
            "FileSystemId": "fs-00000000",
            "FileSystemType": "EFS",
            "DirectoryPath": "/features",
            "FileSystemAccessMode": "rw",
        }
    }
    account.pipeline(
        make.training(
            "Train",
            "train",
            channels={"shared": file_system},
            hyperparameters={"word": {"Get": "Parameters.Word"}},
            arguments={"CheckpointConfig": {"S3Uri": "s3://local/checkpoints/Train"}},
        ),
        make.processing("After", "copy", inputs={"data": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}, outputs=()),
        parameters=[{"Name": "Word", "Type": "String", "DefaultValue": "hello"}],
    )
    _, steps = account.run(Word="mine")
    assert (Uri.parse("efs://fs-00000000/features/from-job").under(account.root)).read_text() == "mine"
    assert account.read("s3://local/checkpoints/Train/last") == b"1"
    assert not any(account.root.rglob("algo-1/checkpoints"))  # the job's own copy
    name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    model = account.client.describe_training_job(TrainingJobName=name)["ModelArtifacts"]["S3ModelArtifacts"]
    with tarfile.open(fileobj=BytesIO(account.read(model))) as tar:
        assert tar.getnames() == ["weights.bin"]


def test_steps_that_do_not_wait_for_each_other_run_at_once(account, make):
    account.pipeline(
        *(make.processing(f"Meet{n}", "meet", outputs=(), environment={"WHO": str(n), "WANTED": "2"}) for n in range(2))
    )
    execution, _ = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_steps_run_at_once_than_asked(account, make, limit):
    account.pipeline(*(make.processing(f"Step{n}", "write") for n in range(4)))
    arn = account.client.start_pipeline_execution(
        PipelineName="test", ParallelismConfiguration={"MaxParallelExecutionSteps": limit}
    )["PipelineExecutionArn"]
    assert account.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    times = [(step["StartTime"], step["EndTime"]) for step in account.steps(arn).values()]
    assert len(times) == 4
    assert max(sum(start <= now < end for start, end in times) for now, _ in times) <= limit


def test_hosts_run_at_once_and_share_sharded_input(account, make):
    for name in ("a", "b", "c"):
        account.store.write(Uri.parse(f"s3://local/data/{name}.txt"), name.encode())
    account.pipeline(
        make.processing("Meet", "meet", outputs=(), hosts=2, environment={"WHO": "x", "WANTED": "2"}),
        make.processing("Copy", "copy", inputs={"data": "s3://local/data"}, hosts=2),
    )
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    folder = Uri.parse(f"s3://local/runs/{execution['PipelineExecutionArn'].rpartition('/')[2]}/Copy/out")
    assert len(list(account.store.list(folder))) == 6
    assert steps["Meet"]["StepStatus"] == "Succeeded"


def gate(make, score):
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "models",
            "ModelApprovalStatus": {"Get": "Parameters.Approval"},
            "InferenceSpecification": {"Containers": [{"Image": "x", "ModelDataUrl": make.get("Score")}]},
        },
    }
    message = {
        "Std:Join": {
            "On": "",
            "Values": ["AUROC ", make.json_get("Score", "score.value"), " is below ", {"Get": "Parameters.Min"}],
        }
    }
    condition = {
        "Name": "Check",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [
                {
                    "Type": "GreaterThanOrEqualTo",
                    "LeftValue": make.json_get("Score", "score.value"),
                    "RightValue": {"Get": "Parameters.Min"},
                }
            ],
            "IfSteps": [{**register, "Arguments": {**register["Arguments"], "InferenceSpecification": {"Containers": []}}}],
            "ElseSteps": [{"Name": "Below", "Type": "Fail", "Arguments": {"ErrorMessage": message}}],
        },
    }
    parameters = [
        {"Name": "Min", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "Approval", "Type": "String", "DefaultValue": "Approved", "EnumValues": ["Approved", "Rejected"]},
    ]
    return [
        make.processing("Score", "write", PropertyFiles=make.report("Score"), environment={"SCORE": score}),
        condition,
    ], parameters


def test_condition_that_holds_registers(account, make):
    steps, parameters = gate(make, "0.8")
    account.pipeline(*steps, parameters=parameters)
    account.client.create_model_package_group(ModelPackageGroupName="models")
    execution, ran = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert "Below" not in ran
    assert ran["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    version = account.client.describe_model_package(ModelPackageName=ran["Register"]["Metadata"]["RegisterModel"]["Arn"])
    assert (version["ModelPackageVersion"], version["ModelApprovalStatus"]) == (1, "Approved")


def test_condition_that_does_not_hold_fails_with_the_message(account, make):
    steps, parameters = gate(make, "0.8")
    account.pipeline(*steps, parameters=parameters)
    account.client.create_model_package_group(ModelPackageGroupName="models")
    execution, ran = account.run(Min="0.9")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert ran["Below"]["FailureReason"] == "AUROC 0.8 is below 0.9"
    assert execution["FailureReason"] == "step Below: AUROC 0.8 is below 0.9"
    assert account.client.list_model_packages(ModelPackageGroupName="models")["ModelPackageSummaryList"] == []


def test_two_executions_at_once_do_not_meet(account, make):
    account.pipeline(make.processing("First", "write"))
    arns = [account.start() for _ in range(3)]
    assert {account.wait(arn)["PipelineExecutionStatus"] for arn in arns} == {"Succeeded"}
    assert len(set(arns)) == 3


def join(word, parameter):
    return {"Std:Join": {"On": "-", "Values": [word, {"Get": f"Parameters.{parameter}"}]}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Other": "1"}, "not defined"),
        *(({"Count": text}, r"parameter Count='.*': should be a whole number") for text in NO_WHOLE_NUMBERS[::4]),
        *(({"Rate": text}, r"parameter Rate='.*': should be a number") for text in NO_NUMBERS[::4]),
        ({"Count": ""}, "parameter Count='': is empty"),
        ({"Count": True}, "parameter Count=True: a value is given as text"),
        ({"Kind": "c"}, "parameter Kind='c': choose one of a, b"),
        ({"Flag": "True"}, "parameter Flag='True': should be true or false"),
        ({"Kind": "a" * 1025}, "has 1025 characters, over the service's 1024"),
        (
            {"Size": "ml.m9.large"},
            r"parameter Size='ml.m9.large': First: .*InstanceType: 'ml.m9.large' is not one of the service's",
        ),
        ({"Hosts": "101"}, r"parameter Hosts='101': First: .*InstanceCount: 101 is over the service's 100"),
        ({"Word": "w" * 252}, r"parameter Word='w+…': First: Environment\[JOINED\]: 257 characters is over the service's 256"),
    ],
)
def test_parameters_are_refused_as_the_service_does(account, make, given, message):
    parameters = [
        {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
        {"Name": "Kind", "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b"]},
        {"Name": "Flag", "Type": "Boolean", "DefaultValue": True},
        {"Name": "Rate", "Type": "Float", "DefaultValue": 0.1},
        {"Name": "Size", "Type": "String", "DefaultValue": "ml.m5.large"},
        {"Name": "Hosts", "Type": "Integer", "DefaultValue": 1},
        {"Name": "Word", "Type": "String", "DefaultValue": "w"},
    ]
    first = make.processing("First", "write", environment={"JOINED": join("word", "Word")}, hosts={"Get": "Parameters.Hosts"})
    first["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] = {"Get": "Parameters.Size"}
    account.pipeline(first, parameters=parameters)
    with pytest.raises(ClientError, match=message):
        account.start(**given)
    assert account.client.list_pipeline_executions(PipelineName="test")["PipelineExecutionSummaries"] == []


def test_hosts_fill_one_model_and_the_log_gives_the_metrics(account, make):
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 10}
    step = make.training("Train", "train_per_host", arguments={"ResourceConfig": resources})
    step["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "train:loss", "Regex": "Training Loss: ([0-9.]+)"}
    ]
    account.pipeline(step)
    _, steps = account.run()
    job = account.job(steps["Train"])
    with tarfile.open(fileobj=BytesIO(account.read(job["ModelArtifacts"]["S3ModelArtifacts"]))) as tar:
        assert tar.getnames() == ["algo-1.bin", "algo-2.bin"]
        assert {member.mtime for member in tar} == {0}
    assert [(metric["MetricName"], metric["Value"]) for metric in job["FinalMetricDataList"]] == [("train:loss", 0.25)]
    logs = account.client.state.job_logs(job["TrainingJobName"])
    assert [path.name for path in logs] == ["algo-1.log", "algo-2.log"]
    assert account.client.state.job_logs(job["TrainingJobName"])[0].read_text() == "Training Loss: 0.5\nTraining Loss: 0.25\n"


def test_a_job_sees_a_clean_environment_and_the_contract_files(account, make, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    account.pipeline(make.processing("Look", "look", environment={"OWN": "mine"}))
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    job = account.job(steps["Look"])
    seen = json.loads(account.read(job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] + "/seen.json"))
    assert seen["environment"]["OWN"] == "mine"
    assert "secret" not in seen["environment"].values()
    assert {name for name in seen["environment"] if name.startswith("AWS_")} == {
        *("AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL_SAGEMAKER", "AWS_REGION", "AWS_CONFIG_FILE"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE"),
    }, "the run's own"
    assert int(seen["environment"]["OMP_NUM_THREADS"]) == os.cpu_count()
    assert seen["config"]["ProcessingJobArn"] == job["ProcessingJobArn"]
    assert seen["resources"]["hosts"] == ["algo-1"]
    assert seen["pathology"].startswith(str(account.root)), "the archive's code runs, not what is installed here"


def test_inputs_are_links_and_outputs_are_not(account, make):
    account.store.write(Uri.parse("s3://local/labels/labels.csv"), b"a,b")
    account.pipeline(make.processing("Look", "look", inputs={"data": "s3://local/labels/labels.csv"}))
    _, steps = account.run()
    job = account.job(steps["Look"])["ProcessingJobName"]
    (folder,) = account.root.glob(f"executions/*/jobs/{job}/algo-1/processing")
    assert [path.name for path in (folder / "input" / "data").iterdir()] == ["labels.csv"]
    assert (folder / "input" / "data" / "labels.csv").is_symlink()
    assert not [path for path in (account.root / "s3" / "local" / "runs").rglob("*") if path.is_symlink()]


CONDITIONS = [
    ({"Type": "Equals", "LeftValue": {"Get": "Parameters.Kind"}, "RightValue": "a"}, "True"),
    ({"Type": "In", "QueryValue": {"Get": "Parameters.Kind"}, "Values": ["b", "c"]}, "False"),
    ({"Type": "Not", "Condition": {"Type": "GreaterThan", "LeftValue": 1, "RightValue": 2}}, "True"),
    ({"Type": "Not", "Expression": {"Type": "LessThan", "LeftValue": 1, "RightValue": 2}}, "False"),
    (
        {
            "Type": "Or",
            "Conditions": [
                {"Type": "LessThanOrEqualTo", "LeftValue": 3, "RightValue": 2},
                {"Type": "GreaterThanOrEqualTo", "LeftValue": 2, "RightValue": 2},
            ],
        },
        "True",
    ),
]


def check_step(name, condition, otherwise=()):
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": [condition], "IfSteps": [], "ElseSteps": list(otherwise)},
    }


KIND = [{"Name": "Kind", "Type": "String", "DefaultValue": "a"}]


def test_every_kind_of_condition(account):
    checks = [check_step(f"Check{number}", condition) for number, (condition, _) in enumerate(CONDITIONS)]
    account.pipeline(*checks, parameters=KIND)
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    outcomes = [steps[f"Check{number}"]["Metadata"]["Condition"]["Outcome"] for number in range(len(CONDITIONS))]
    assert outcomes == [outcome for _, outcome in CONDITIONS]


def test_a_condition_on_a_parameter_that_does_not_hold_goes_the_other_way(account):
    fail = {"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
    account.pipeline(check_step("Check", CONDITIONS[1][0], [fail]), parameters=KIND)
    execution, steps = account.run()
    assert steps["Check"]["Metadata"]["Condition"]["Outcome"] == "False"
    assert execution["PipelineExecutionStatus"] == "Failed"


def test_a_metric_that_is_not_a_number_fails_the_gate_in_words(account, make):
    steps, parameters = gate(make, "nan")
    account.pipeline(*steps, parameters=parameters)
    execution, ran = account.run()
    assert "is not a valid number" in execution["FailureReason"]
    assert not {"Register", "Below"} & set(ran)


def test_registering_needs_the_group(account):
    register = {"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": "models"}}
    account.pipeline(register)
    execution, _ = account.run()
    assert "ModelPackageGroup models does not exist" in execution["FailureReason"]


def test_versions_made_at_once_get_numbers_of_their_own(account):
    account.client.create_model_package_group(ModelPackageGroupName="models")
    with ThreadPoolExecutor(8) as pool:
        arns = list(pool.map(lambda _: account.client.create_model_package(ModelPackageGroupName="models"), range(16)))
    numbers = {int(answer["ModelPackageArn"].rpartition("/")[2]) for answer in arns}
    assert numbers == set(range(1, 17))


def test_the_runner_needs_no_heavy_import():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, pipelines.local.client, pipelines.local.runner; print(sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"'torch'", "'sagemaker'", "'boto3'", "'pandas'"} & set(done.stdout.strip("[]\n").split(", "))
