"""The container contract: the files and folders that a job of either kind finds under /opt/ml, in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.local.volumes import fill_from_s3, mount, pack, share, upload_folder

OPT_ML = "/opt/ml"
Request = dict[str, Any]


def _inside(root: Path, local_path: str) -> Path:
    return root / Path(local_path).relative_to(OPT_ML)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def _resources(host: str, hosts: list[str], instance_type: str) -> dict[str, Any]:
    return {"current_host": host, "hosts": hosts, "current_instance_type": instance_type, "network_interface_name": "eth0"}


class ProcessingContainer:
    """A Processing job's side of the contract."""

    kind = "processing"

    def __init__(self, name: str, request: Request, store: FolderStore) -> None:
        self.name, self.request, self.store = name, request, store

    @property
    def command(self) -> list[str]:
        """Entry point and arguments."""
        specification = self.request["AppSpecification"]
        return [*specification.get("ContainerEntrypoint", []), *specification.get("ContainerArguments", [])]

    @property
    def hosts(self) -> list[str]:
        """algo-1 … algo-n."""
        return [
            f"algo-{number + 1}" for number in range(int(self.request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]))
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The request's variables."""
        return {"PROCESSING_JOB_NAME": self.name, **self.request.get("Environment", {})}

    def lay_out(self, root: Path, host: str) -> None:
        """Write the contract's files and show the inputs. Raises DataError for an input that is not there."""
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        _write(root / "config" / "processingjobconfig.json", {"ProcessingJobName": self.name, **self.request})
        _write(root / "config" / "resourceconfig.json", _resources(host, self.hosts, cluster["InstanceType"]))
        for item in self.request.get("ProcessingInputs", []):
            folder = _inside(root, item["S3Input"]["LocalPath"])
            fill_from_s3(self.store, item["S3Input"], folder, self.hosts.index(host), len(self.hosts))
        for output in self._outputs():
            _inside(root, output["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def _outputs(self) -> list[dict[str, Any]]:
        return list(self.request.get("ProcessingOutputConfig", {}).get("Outputs", []))

    def collect(self, roots: list[Path]) -> dict[str, Any]:
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

    @property
    def command(self) -> list[str]:
        """Entry point and arguments."""
        specification = self.request["AlgorithmSpecification"]
        return [*specification.get("ContainerEntrypoint", []), *specification.get("ContainerArguments", [])]

    @property
    def hosts(self) -> list[str]:
        """algo-1 … algo-n."""
        return [f"algo-{number + 1}" for number in range(int(self.request["ResourceConfig"]["InstanceCount"]))]

    @property
    def environment(self) -> dict[str, str]:
        """The request's variables and the job's name."""
        return {"TRAINING_JOB_NAME": self.name, **self.request.get("Environment", {})}

    def lay_out(self, root: Path, host: str) -> None:
        """Write the contract's files and show the channels. Raises DataError for a channel that is not there."""
        config = root / "input" / "config"
        channels = self.request.get("InputDataConfig", [])
        _write(config / "hyperparameters.json", self.request.get("HyperParameters", {}))
        _write(config / "resourceconfig.json", _resources(host, self.hosts, self.request["ResourceConfig"]["InstanceType"]))
        described = {
            item["ChannelName"]: {
                "TrainingInputMode": item.get("InputMode", "File"),
                "S3DistributionType": item["DataSource"].get("S3DataSource", {}).get("S3DataDistributionType", "FullyReplicated"),
                "RecordWrapperType": "None",
            }
            for item in channels
        }
        _write(config / "inputdataconfig.json", described)
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
            share(self.store, Uri.parse(self.request["CheckpointConfig"]["S3Uri"]), root / "checkpoints")

    def collect(self, roots: list[Path]) -> dict[str, Any]:
        """Pack and upload model and output of the first host; what Describe adds of it."""
        base = Uri.parse(self.request["OutputDataConfig"]["S3OutputPath"]) / self.name / "output"
        found: dict[str, Any] = {}
        if pack(roots[0] / "model", (base / "model.tar.gz").under(self.store.root)):
            found["ModelArtifacts"] = {"S3ModelArtifacts": str(base / "model.tar.gz")}
        pack(roots[0] / "output" / "data", (base / "output.tar.gz").under(self.store.root))
        return found

    @staticmethod
    def message(root: Path) -> Path:
        """Where a job says why it failed."""
        return root / "output" / "failure"


Container = ProcessingContainer | TrainingContainer
CONTAINERS: dict[str, type[ProcessingContainer] | type[TrainingContainer]] = {
    "Processing": ProcessingContainer,
    "Training": TrainingContainer,
}
