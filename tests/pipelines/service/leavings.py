"""An account of this machine with executions, versions and what they left, each as old as a test says; its bucket a folder or S3."""

import json
import os
from datetime import UTC, datetime, timedelta

import boto3
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.config import LOCAL
from pipelines.local.client import LocalSageMaker
from pipelines.local.log_calls import LocalLogs
from pipelines.local.state import arn, write_json
from pipelines.service.session import Session

PIPELINE, GROUP = "pathology-msi", "pathology-msi"
ROLE = "arn:aws:iam::000000000000:role/local"


def days_ago(days):
    return datetime.now(UTC) - timedelta(days=days)


class Leavings:
    def __init__(self, root, store):
        self.sagemaker = LocalSageMaker(root)
        self.state, self.store = self.sagemaker.state, store
        self.session = Session(LOCAL, self.sagemaker, store, LocalLogs(self.state))
        self.locks = []

    def pipeline(self, name=PIPELINE, **defaults):
        parameters = [{"Name": key, "Type": "String", "DefaultValue": value} for key, value in defaults.items()]
        text = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": parameters, "Steps": []})
        self.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
        path = self.state.pipeline(name)  # older than its executions, which it lists
        write_json(path, {**json.loads(path.read_text()), "CreationTime": days_ago(400).isoformat()})

    def put(self, key, days, content=b"x"):
        uri = Uri("s3", LOCAL.bucket, key)
        self.store.write(uri, content)
        self.set_age(uri, days)
        return f"s3://{LOCAL.bucket}/{key}"

    def set_age(self, uri, days):
        if isinstance(self.store, FolderStore):
            moment = days_ago(days).timestamp()
            os.utime(uri.under(self.store.root), (moment, moment))
        else:
            from moto.s3.models import s3_backends

            s3_backends["123456789012"]["aws"].buckets[uri.root].keys[uri.path].last_modified = days_ago(days).replace(
                tzinfo=None
            )

    def prepared(self, letter, days, task="msi"):
        """A folder of two objects and its mark; its URI."""
        folder = f"prepared/{task}/{letter * 32}"
        for name in ("cohort.csv", "classes.json", "COMPLETE"):
            self.put(f"{folder}/{name}", days)
        return f"s3://{LOCAL.bucket}/{folder}/"

    def outputs(self, identity, days, *handed, pipeline=PIPELINE, text=None):
        """What an execution leaves: a model, an evaluation and prepared.json."""
        runs = f"runs/{pipeline}/{identity}"
        content = {f"name-{n}": {"uri": uri, "sha256": "0" * 64} for n, uri in enumerate(handed)}
        if text is not None or handed:
            self.put(f"{runs}/PrepareMsi/prepared/prepared.json", days, text or json.dumps(content).encode())
        self.put(f"{runs}/EvaluateMsi/evaluation/evaluation.json", days)
        return self.put(f"{runs}/TrainMsi/job/output/model.tar.gz", days, b"weights")

    def execution(self, identity, days, status="Succeeded", steps=(), given=(), pipeline=PIPELINE, cached=None, version=None):
        """An execution's records: steps by name with the id of the execution whose job they had; ``cached`` as the cache answers,
        or as a selective execution does."""
        execution, moment = self.state.execution(identity), days_ago(days).isoformat()
        write_json(
            execution.record_path,
            {
                "PipelineName": pipeline,
                "PipelineArn": arn(f"pipeline/{pipeline}"),
                "PipelineExecutionArn": self.arn(identity, pipeline),
                "PipelineExecutionDisplayName": f"execution-{identity}",
                "PipelineExecutionStatus": status,
                "CreationTime": moment,
                "LastModifiedTime": moment,
                "Parameters": {},
                "Given": [{"Name": f"Given{n}", "Value": value} for n, value in enumerate(given)],
            },
        )
        if status in ("Executing", "Stopping"):
            self.locks.append(execution.take_runner_lock())
        for name, source in dict(steps).items():
            self.step(identity, name, moment, source, cached)
        if version:
            made = {"RegisterModel": {"Arn": version}}
            self._step(identity, {"StepName": "Register", "StepStatus": "Succeeded", "StartTime": moment, "Metadata": made})

    def step(self, identity, name, moment, source, cached):
        job = f"pipelines-{source}-{name}-x"
        record = {"StepName": name, "StepStatus": "Succeeded", "StartTime": moment, "EndTime": moment}
        record["Metadata"] = {"ProcessingJob": {"Arn": arn(f"processing-job/{job}")}}
        if cached:
            record[cached] = {"SourcePipelineExecutionArn": self.arn(source)}
        self._step(identity, record)

    def _step(self, identity, record):
        write_json(self.state.execution(identity).step(record["StepName"]), record)

    def job(self, name, output):
        """What Describe answers of a Processing job."""
        outputs = [{"OutputName": "out", "S3Output": {"S3Uri": output}}]
        record = {
            "ProcessingJobName": name,
            "ProcessingJobArn": arn(f"processing-job/{name}"),
            "ProcessingJobStatus": "Completed",
        }
        record |= {"AppSpecification": {}, "ProcessingResources": {}, "CreationTime": days_ago(1).isoformat()}
        write_json(self.state.job(name), record | {"ProcessingOutputConfig": {"Outputs": outputs}})

    @staticmethod
    def arn(identity, pipeline=PIPELINE):
        return arn(f"pipeline/{pipeline}/execution/{identity}")

    def version(self, number=1, group=GROUP, status="Rejected", **named):
        """A model version; ``named``: its members, or its metadata."""
        self.state.group(group).mkdir(parents=True, exist_ok=True)
        if not self.state.group_record(group).exists():
            self.sagemaker.create_model_package_group(ModelPackageGroupName=group)
        version = arn(f"model-package/{group}/{number}")
        record = {"ModelPackageArn": version, "ModelPackageVersion": number, "ModelPackageStatus": "Completed"}
        record |= {"ModelPackageGroupName": group, "ModelApprovalStatus": status, "CreationTime": days_ago(200).isoformat()}
        write_json(self.state.group(group) / f"{number}.json", record | named)
        return version

    def keys(self, top=""):
        """All keys in the bucket, of runs/ and prepared/."""
        found = [entry.uri.path for part in ("prepared", "runs") for entry in self.store.list(Uri("s3", LOCAL.bucket, part))]
        return [key for key in found if key.startswith(top)]

    def size(self, top):
        """Bytes of what is below a key."""
        return sum(len(self.store.read(Uri("s3", LOCAL.bucket, key))) for key in self.keys(top))

    def folders(self):
        return {"/".join(key.split("/")[:3]) for key in self.keys()}

    def close(self):
        for lock in self.locks:
            os.close(lock)


def s3_client():
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket=LOCAL.bucket)
    return client
