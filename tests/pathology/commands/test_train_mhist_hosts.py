"""TrainMhist on two hosts: the graph's own step, run by the local runner through the images' entry point and torchrun."""

import json
import subprocess
import tarfile
from io import BytesIO

import pytest
from msi_jobs import training_job
from patch_sets import write_patch_table, write_patches
from pathology.contracts.mhist.train import TrainMhist
from pathology.contracts.uris import Uri
from pathology.encoders.tiny import make_tiny_encoder

from pipelines.config import LOCAL, load_task
from pipelines.local.client import LocalSageMaker
from tests.waiting import until

CHANNELS = {"training": "training/", "models": "models/", "encoder": "models/tiny/", "patches": "patches/"}
ENDED = ("Succeeded", "Failed", "Stopped")


class Laptop:
    """A local account whose only step is TrainMhist, with look-alike patches and the tiny encoder as its channels."""

    def __init__(self, root, train=30, validation=13):
        from pipelines.builder import build

        self.root = root
        self.client = LocalSageMaker(root)
        built = build("mhist", load_task("mhist", LOCAL), LOCAL)
        for uri, archive in built.code.items():
            self.client.state.store.write(Uri.parse(uri), archive)
        rows = write_patches(self.path("s3://local/training"), {"train": train, "validation": validation, "test": 4})
        make_tiny_encoder(self.path("s3://local/models/tiny"))
        write_patch_table(self.path("s3://local/patches"), rows)
        step = next(step for step in built.definition["Steps"] if step["Name"] == "TrainMhist")
        code = [item for item in step["Arguments"]["InputDataConfig"] if item["ChannelName"] == "code"]
        step["Arguments"]["InputDataConfig"] = code + [
            {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://local/{key}"}}}
            for name, key in CHANNELS.items()
        ]
        step.pop("DependsOn", None)
        step.pop("CacheConfig")  # how many hosts there are is not part of the key
        text = json.dumps({**built.definition, "Steps": [step]})
        self.client.create_pipeline(PipelineName="train", PipelineDefinition=text, RoleArn="arn:aws:iam::000000000000:role/local")

    def path(self, uri):
        return Uri.parse(uri).under(self.root)

    def start(self, hosts, **values):
        values = {"FineTuning": "lora", "Epochs": "2", "BatchSize": "8", **values, "TrainInstanceCount": str(hosts)}
        given = [{"Name": name, "Value": value} for name, value in values.items()]
        return self.client.start_pipeline_execution(PipelineName="train", PipelineParameters=given)["PipelineExecutionArn"]

    def wait(self, arn):
        """The ended step and its job."""
        until(lambda: self.status(arn) in ENDED)
        (step,) = self.client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        name = step["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
        return step, self.client.describe_training_job(TrainingJobName=name)

    def status(self, arn):
        return self.client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]

    def artefact(self, job):
        """The files of a job's model."""
        content = self.client.state.store.read(Uri.parse(job["ModelArtifacts"]["S3ModelArtifacts"]))
        with tarfile.open(fileobj=BytesIO(content)) as tar:
            return {member.name: tar.extractfile(member).read() for member in tar}

    def logs(self, arn):
        """What each host of the execution's job has logged so far."""
        logs = self.root.glob(f"executions/{arn.rpartition('/')[2]}/jobs/*/algo-*.log")
        return {path.stem: path.read_text() for path in logs}

    def processes(self):
        """Lines of ps on every process that names this account's folder in its arguments or its environment."""
        listing = subprocess.run(["ps", "eww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listing.splitlines() if f"PATHOLOGY_ROOT={self.root}" in line]


@pytest.fixture
def laptop(tmp_path):
    return Laptop(tmp_path / "state")


def train_here(laptop, folder, settings):
    """The model's folder of the same training by this process alone."""
    from pathology.commands.train_mhist import main

    job = training_job(folder, settings, {name: laptop.path(f"s3://local/{key}") for name, key in CHANNELS.items()})
    main(job)
    return job.output("model")


@pytest.mark.slow
def test_two_hosts_give_one_hosts_model(laptop, tmp_path):
    """What one process without torchrun trains, with the settings that the hosts' model says it was trained with."""
    from safetensors.torch import load, load_file
    from torch import allclose

    arn = laptop.start(2)
    step, job = laptop.wait(arn)
    assert step["StepStatus"] == "Succeeded", step.get("FailureReason")
    together, logs = laptop.artefact(job), laptop.logs(arn)
    assert [log.count("Training Loss: ") for _, log in sorted(logs.items())] == [2, 0]
    job_folder = laptop.root / "executions" / arn.rpartition("/")[2] / "jobs"
    assert [path.parts[-3] for path in job_folder.glob("*/*/model/config.json")] == ["algo-1"]
    settings = TrainMhist.model_validate(json.loads(together["config.json"])["training"])
    assert (settings.fine_tuning, settings.epochs, settings.batch_size) == ("lora", 2, 8)
    alone = train_here(laptop, tmp_path / "alone", settings)
    for name in ("head.safetensors", "encoder.safetensors"):
        expected, actual = load_file(alone / name), load(together[name])
        assert set(actual) == set(expected)
        for key, value in expected.items():
            assert allclose(value, actual[key], atol=1e-5), key


@pytest.mark.slow
def test_what_trains_alone_is_done_by_the_first_host(laptop):
    arn = laptop.start(2, FineTuning="linear")
    step, job = laptop.wait(arn)
    assert step["StepStatus"] == "Succeeded", step.get("FailureReason")
    assert "algo-2: fine-tuning linear trains on one device here" in laptop.logs(arn)["algo-2"]
    assert "config.json" in laptop.artefact(job)


@pytest.mark.slow
def test_the_line_of_the_process_that_failed_is_the_jobs(laptop):
    """One patch is gone, so that one process fails and the other only loses it."""
    laptop.path("s3://local/training/validation_0000.png").unlink()
    step, job = laptop.wait(laptop.start(2))
    assert step["StepStatus"] == "Failed"
    assert "patch validation_0000.png" in job["FailureReason"]
    assert "stage the patches again" in job["FailureReason"]
    assert "lost another" not in job["FailureReason"] and "Traceback" not in job["FailureReason"]


@pytest.mark.slow
def test_a_stop_in_the_middle_of_training_ends_every_process(tmp_path):
    """Hundreds of epochs of many patches: it would not end by itself before it is stopped."""
    laptop = Laptop(tmp_path / "state", train=96)
    arn = laptop.start(2, Epochs="500", LearningRate="1e-6", EncoderLearningRate="1e-7")
    until(lambda: "Training Loss" in laptop.logs(arn).get("algo-1", ""))
    assert len(laptop.processes()) == 4
    laptop.client.stop_pipeline_execution(PipelineExecutionArn=arn)
    until(lambda: laptop.status(arn) == "Stopped")
    until(lambda: laptop.processes() == [])
