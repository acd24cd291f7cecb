"""The container contract: the files and folders that a job of either kind finds under /opt/ml, in a folder of its own."""

from __future__ import annotations

import json
import socket
from functools import cached_property
from pathlib import Path
from typing import Any

from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.local.checkpoints import CheckpointSync
from pipelines.local.log_metrics import final_metrics
from pipelines.local.processes import log_of
from pipelines.local.state import arn, now
from pipelines.local.volumes import fill_from_s3, mount, pack, upload_folder
from steps.shapes import Answer, ProcessingOutput, Request

OPT_ML = "/opt/ml"
CHECKPOINTS = "/opt/ml/checkpoints"
RENDEZVOUS = "PATHOLOGY_RENDEZVOUS"
"""Tells ``pathology-run`` that the job's hosts are processes of one machine, and where these meet."""


def _inside(root: Path, local_path: str) -> Path:
    return root / Path(local_path).relative_to(OPT_ML)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def _resources(host: str, hosts: list[str], instance_type: str) -> dict[str, Any]:
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": hosts}],
        "network_interface_name": "eth0",
    }


class ProcessingContainer:
    """A Processing job's side of the contract."""

    kind = "processing"

    def __init__(self, name: str, request: Request, store: FolderStore) -> None:
        self.name, self.request, self.store = name, request, store
        self.checkpoints: list[CheckpointSync] = []

    @property
    def arn(self) -> str:
        """The job's ARN."""
        return arn(f"processing-job/{self.name}")

    def describe(self) -> Answer:
        """What Describe answers while the job runs."""
        request = {key: value for key, value in self.request.items() if key != "Tags"}
        started = now()
        return {
            **request,
            "ProcessingJobName": self.name,
            "ProcessingJobArn": self.arn,
            "ProcessingJobStatus": "InProgress",
            "CreationTime": started,
            "ProcessingStartTime": started,
        }

    @staticmethod
    def ended(status: str) -> Answer:
        """What Describe adds when the job has ended as Completed, Failed or Stopped."""
        return {"ProcessingJobStatus": status, "ProcessingEndTime": now()}

    @property
    def arguments(self) -> list[str]:
        """What the entry point is given."""
        return list(self.request["AppSpecification"].get("ContainerArguments", []))

    @property
    def hosts(self) -> list[str]:
        """algo-1 … algo-n."""
        return [
            f"algo-{number + 1}" for number in range(int(self.request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]))
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The request's variables."""
        return {"PROCESSING_JOB_NAME": self.name, "PROCESSING_JOB_ARN": self.arn, **self.request.get("Environment", {})}

    def lay_out(self, root: Path, host: str) -> None:
        """Write the contract's files and show the inputs. Raises DataError for an input that is not there."""
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        _write(
            root / "config" / "processingjobconfig.json",
            {"ProcessingJobName": self.name, "ProcessingJobArn": self.arn, **self.request},
        )
        _write(root / "config" / "resourceconfig.json", _resources(host, self.hosts, cluster["InstanceType"]))
        for item in self.request.get("ProcessingInputs", []):
            folder = _inside(root, item["S3Input"]["LocalPath"])
            fill_from_s3(self.store, item["S3Input"], folder, self.hosts.index(host), len(self.hosts))
        for output in self._outputs():
            _inside(root, output["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def _outputs(self) -> list[ProcessingOutput]:
        return list(self.request.get("ProcessingOutputConfig", {}).get("Outputs", []))

    def collect(self, roots: list[Path]) -> Answer:
        """Upload what every host wrote; what Describe adds of it."""
        for root in roots:
            for output in self._outputs():
                target = Uri.parse(output["S3Output"]["S3Uri"])
                upload_folder(self.store, _inside(root, output["S3Output"]["LocalPath"]), target)
        return {}

    @staticmethod
    def message(root: Path) -> Path:
        """Where a job says why it failed."""
        return root / "output" / "message"


class TrainingContainer:
    """A Training job's side of the contract."""

    kind = "training"

    def __init__(self, name: str, request: Request, store: FolderStore) -> None:
        self.name, self.request, self.store = name, request, store
        self.checkpoints: list[CheckpointSync] = []

    @property
    def arn(self) -> str:
        """The job's ARN."""
        return arn(f"training-job/{self.name}")

    def describe(self) -> Answer:
        """What Describe answers while the job runs."""
        request = {key: value for key, value in self.request.items() if key != "Tags"}
        started = now()
        return {
            "StoppingCondition": {"MaxRuntimeInSeconds": 24 * 3600},
            **request,
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Training",
            "CreationTime": started,
            "TrainingStartTime": started,
            "ModelArtifacts": {"S3ModelArtifacts": ""},
        }

    @staticmethod
    def ended(status: str) -> Answer:
        """What Describe adds when the job has ended as Completed, Failed or Stopped."""
        return {"TrainingJobStatus": status, "SecondaryStatus": status, "TrainingEndTime": now()}

    @property
    def arguments(self) -> list[str]:
        """What the entry point is given."""
        return list(self.request["AlgorithmSpecification"].get("ContainerArguments", []))

    @property
    def hosts(self) -> list[str]:
        """algo-1 … algo-n."""
        return [f"algo-{number + 1}" for number in range(int(self.request["ResourceConfig"]["InstanceCount"]))]

    @property
    def environment(self) -> dict[str, str]:
        """The request's variables, the job's name, and where its processes meet: no name leads to algo-1 here."""
        variables = {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.arn, RENDEZVOUS: self._rendezvous}
        return {**variables, **self.request.get("Environment", {})}

    @cached_property
    def _rendezvous(self) -> str:
        """An address that is free now, the same for all hosts of the job."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{free.getsockname()[1]}"

    def lay_out(self, root: Path, host: str) -> None:
        """Write the contract's files and show the channels. Raises DataError for a channel that is not there."""
        files = root / "input" / "config"
        channels = self.request.get("InputDataConfig", [])
        _write(files / "hyperparameters.json", self.request.get("HyperParameters", {}))
        _write(files / "resourceconfig.json", _resources(host, self.hosts, self.request["ResourceConfig"]["InstanceType"]))
        described = {
            item["ChannelName"]: {
                "TrainingInputMode": item.get("InputMode", "File"),
                "S3DistributionType": item["DataSource"].get("S3DataSource", {}).get("S3DataDistributionType", "FullyReplicated"),
                "RecordWrapperType": "None",
            }
            for item in channels
        }
        _write(files / "inputdataconfig.json", described)
        for item in channels:
            folder = root / "input" / "data" / item["ChannelName"]
            source = item["DataSource"]
            if "FileSystemDataSource" in source:
                mount(self.store, source["FileSystemDataSource"], folder)
            else:
                fill_from_s3(self.store, source["S3DataSource"], folder, self.hosts.index(host), len(self.hosts))
        for folder in (root / "model", root / "output" / "data"):
            folder.mkdir(parents=True, exist_ok=True)
        if "CheckpointConfig" in self.request:
            config = self.request["CheckpointConfig"]
            folder = _inside(root, config.get("LocalPath", CHECKPOINTS))
            self.checkpoints.append(CheckpointSync(self.store, Uri.parse(config["S3Uri"]), folder))
            self.checkpoints[-1].restore()

    def collect(self, roots: list[Path]) -> Answer:
        """Pack and upload the model and the output, of all hosts together; what Describe adds of it."""
        base = Uri.parse(self.request["OutputDataConfig"]["S3OutputPath"]) / self.name / "output"
        described: Answer = {}
        if pack([root / "model" for root in roots], (base / "model.tar.gz").under(self.store.root)):
            described["ModelArtifacts"] = {"S3ModelArtifacts": str(base / "model.tar.gz")}
        pack([root / "output" / "data" for root in roots], (base / "output.tar.gz").under(self.store.root))
        metrics = final_metrics(self.request["AlgorithmSpecification"].get("MetricDefinitions", []), map(log_of, roots))
        return {**described, "FinalMetricDataList": metrics} if metrics else described

    @staticmethod
    def message(root: Path) -> Path:
        """Where a job says why it failed."""
        return root / "output" / "failure"


Container = ProcessingContainer | TrainingContainer
CONTAINERS: dict[str, type[ProcessingContainer] | type[TrainingContainer]] = {
    "Processing": ProcessingContainer,
    "Training": TrainingContainer,
}
