"""A pipeline of jobs that take a moment: commands of the standard library alone, in a code archive like the real one's."""

import json
import os
import subprocess
from types import SimpleNamespace

import pytest
from pathology.contracts.code import Code
from pathology.contracts.uris import Uri

from pipelines.local.client import LocalSageMaker
from tests.pipelines.local.damages import built, fresh
from tests.waiting import MAX_WAIT_SECONDS, until

assert built and fresh  # fixtures

CODE_URI = "s3://local/code/test.tar.gz"
COMMON = (
    f"""
import json, os, sys, time
MAX_WAIT_SECONDS = {MAX_WAIT_SECONDS}
"""
    + """
from pathlib import Path

ROOT = Path(os.environ["PATHOLOGY_ROOT"])
processing = ROOT / "config" / "processingjobconfig.json"
if processing.is_file():
    KIND, CONFIG = "processing", json.loads(processing.read_text())
    HOST = json.loads((ROOT / "config" / "resourceconfig.json").read_text())["current_host"]
    INPUT, OUTPUT = ROOT / "processing" / "input", ROOT / "processing" / "output"
else:
    KIND = "training"
    CONFIG = json.loads((ROOT / "input" / "config" / "hyperparameters.json").read_text())
    HOST = json.loads((ROOT / "input" / "config" / "resourceconfig.json").read_text())["current_host"]
    INPUT, OUTPUT = ROOT / "input" / "data", ROOT / "model"

def until(condition):
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline: sys.exit(9)
        time.sleep(0.01)

def sleep():
    "Longer than any test waits: whoever sleeps so is killed."
    time.sleep(2 * MAX_WAIT_SECONDS)
"""
)
COMMANDS = {
    "write": "(OUTPUT / 'out').mkdir(parents=True, exist_ok=True)\n"
    "(OUTPUT / 'out' / 'value.json').write_text(json.dumps({'score': {'value': float(os.environ.get('SCORE', '0.8'))}, 'list': [1, 'b']}))\n",
    "copy": "for path in sorted((INPUT / 'data').rglob('*')):\n"
    "    if path.is_file():\n"
    "        (OUTPUT / 'out' / f'{HOST}-{path.name}').write_text(path.read_text() + os.environ.get('SEEN', ''))\n",
    "train": "print('Training Loss: 0.5')\n(OUTPUT / 'weights.bin').write_bytes(b'w')\n"
    "(ROOT / 'checkpoints').is_dir() and (ROOT / 'checkpoints' / 'last').write_text('1')\n"
    "(INPUT / 'shared').is_dir() and (INPUT / 'shared' / 'from-job').write_text(CONFIG['word'])\n",
    "fail": "print('about to fail')\n(ROOT / 'output').mkdir(exist_ok=True)\n"
    "(ROOT / 'output' / ('message' if KIND == 'processing' else 'failure')).write_text('the label table has no column label')\nsys.exit(1)\n",
    "fail_about": "said = os.environ['ABOUT'] + ' has no column label'\nprint('error:', said)\n(ROOT / 'output').mkdir(exist_ok=True)\n"
    "(ROOT / 'output' / 'message').write_text(said)\nsys.exit(1)\n",
    "fail_silently": "print('last line of the log', file=sys.stderr)\nsys.exit(3)\n",
    "die": "import signal\nprint('dying', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "save_and_die": "import signal\nsaved = ROOT / 'checkpoints' / 'saved'\n"
    "saved.write_text((saved.read_text() if saved.exists() else '') + '1')\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "clog": "count = Path(os.environ['PATHOLOGY_URI_ROOT']) / 'clogged'\n"
    "seen = int(count.read_text()) if count.exists() else 0\ncount.write_text(str(seen + 1))\n"
    "(OUTPUT / 'out' / 'value.json').write_text('{}')\n"
    "uri = CONFIG['ProcessingOutputConfig']['Outputs'][0]['S3Output']['S3Uri']\n"
    "target = Path(os.environ['PATHOLOGY_URI_ROOT']) / 's3' / uri.removeprefix('s3://') / 'value.json'\n"
    "if seen < int(os.environ['TIMES']): target.mkdir(parents=True, exist_ok=True)\nelse: target.rmdir()\n",
    "work": "import subprocess\nworker = subprocess.Popen([sys.executable, '-c', f'import time; time.sleep({2 * MAX_WAIT_SECONDS})'])\n"
    "print('working with 1 worker', flush=True)\n"
    "(ROOT / 'beside').write_text(f'{os.getpid()} {worker.pid}')\n(ROOT / 'beside').rename(ROOT / 'pids')\nsleep()\n",
    "meet": "here = Path(os.environ['PATHOLOGY_URI_ROOT']) / 'meeting'\nhere.mkdir(exist_ok=True)\n"
    "(here / f\"{os.environ['WHO']}-{HOST}\").touch()\n"
    "until(lambda: len(list(here.iterdir())) >= int(os.environ['WANTED']))\n",
    "train_per_host": "print('Training Loss: 0.5')\nprint('Training Loss: 0.25')\n(OUTPUT / f'{HOST}.bin').write_bytes(b'w')\n",
    "second_fails": "if HOST == 'algo-2':\n    print('algo-2 could not go on')\n    sys.exit(4)\nsleep()\n",
    "after_the_failure": "execution = ROOT.parents[2]\n"
    "until(lambda: any('Failed' in path.read_text() for path in (execution / 'steps').glob('Bad.json')))\n"
    "(OUTPUT / 'out' / 'value.json').write_text('{}')\n",
    "look": "import pathology\n"
    "seen = {'environment': dict(os.environ), 'config': CONFIG, 'pathology': pathology.__file__,\n"
    "        'resources': json.loads((ROOT / 'config' / 'resourceconfig.json').read_text())}\n"
    "(OUTPUT / 'out' / 'seen.json').write_text(json.dumps(seen))\n",
    "deaf": "import signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); '"
    " f'time.sleep({2 * MAX_WAIT_SECONDS})', os.environ['PATHOLOGY_ROOT']])\n(ROOT / 'started').touch()\nsleep()\n",
    "once": "mark = Path(os.environ['PATHOLOGY_URI_ROOT']) / 'ran' / os.environ['WHO']\nmark.parent.mkdir(exist_ok=True)\n"
    "with mark.open('a') as file: file.write('x')\n"
    "(OUTPUT / 'out' / 'value.json').write_text('{}')\n",
    "fail_first": "mark = Path(os.environ['PATHOLOGY_URI_ROOT']) / 'healed'\n"
    "if not mark.exists(): sys.exit('not yet')\n(OUTPUT / 'out' / 'value.json').write_text('{}')\n",
    "sleep_once": "if (Path(os.environ['PATHOLOGY_URI_ROOT']) / 'healed').exists():\n"
    "    (OUTPUT / 'out' / 'value.json').write_text('{}')\n"
    "else:\n    print('asleep', flush=True)\n    (ROOT / 'started').touch()\n    sleep()\n",
    "talk": "for number in range(int(os.environ['LINES'])):\n"
    "    print(f'line {number}', end=' without an end' if number == 2 else '\\n', flush=True)\n"
    "    if number == 0 and os.environ['LINES'] != '1':\n"
    "        until((Path(os.environ['PATHOLOGY_URI_ROOT']) / 'go').exists)\n"
    "(OUTPUT / 'out' / 'value.json').write_text('{}')\n",
    "slides": "for done in range(3):\n    print(f'Slides done: {done} of 2', flush=True)\n"
    "    until((Path(os.environ['PATHOLOGY_URI_ROOT']) / f'go-{done}').exists)\n",
    "host": "print(f'I am {HOST}')\n",
    "evaluate": "interval = {'value': 0.9, 'low': 0.8, 'high': 0.97}\n"
    "names = ('auroc', 'balanced_accuracy', 'sensitivity', 'specificity')\n"
    "block = {'n': 7, 'positives': 3, 'confidence': 0.95, 'intervals': dict.fromkeys(names, interval), 'task': 'msi', 'warnings': ['few patients']}\n"
    "block |= {'seen': {'unit': 'patients', 'test_items': 7, 'seen': 0, 'names': []}, 'threshold': 0.5}\n"
    "block['model'] = {'version': 'v1', 'config_sha256': 'c', 'archive_uri': 's3://local/a.tar.gz', 'labels': ['MSS', 'MSI-H']}\n"
    "rows = [f'P{n},A1,{int(n < 3)},0.{n},P{n}-DX1\\n' for n in range(7)]\n"
    "(OUTPUT / 'evaluation' / 'predictions.csv').write_text('patient_id,site,label,probability,slide_ids\\n' + ''.join(rows))\n"
    "studio = {'auc': {'value': 0.9, 'standard_deviation': 0.05}}\nprint('scored')\n"
    "(OUTPUT / 'evaluation' / 'evaluation.json').write_text(json.dumps({'binary_classification_metrics': studio, 'pathology': block}))\n",
    "ask": "import boto3\nsagemaker = boto3.client('sagemaker', region_name=os.environ['AWS_REGION'])\n"
    "listed = sagemaker.list_model_packages(ModelPackageGroupName='models', ModelApprovalStatus='Approved', SortOrder='Descending')\n"
    "latest = listed['ModelPackageSummaryList'][0]\nname = latest['ModelPackageArn']\n"
    "sagemaker.update_model_package(ModelPackageArn=name, CustomerMetadataProperties={'looked': '1'})\n"
    "described = sagemaker.describe_model_package(ModelPackageName=name)\n"
    "try:\n    sagemaker.update_model_package(ModelPackageArn=name, ModelApprovalStatus='Rejected')\n"
    "except sagemaker.exceptions.ClientError as error:\n    denied = error.response['Error']\n"
    "said = {'same': described['CreationTime'] == latest['CreationTime'], 'denied': denied,\n"
    "        'metadata': described['CustomerMetadataProperties'], 'url': sagemaker.meta.endpoint_url,\n"
    "        'token': os.environ['AWS_SESSION_TOKEN']}\n"
    "(OUTPUT / 'out' / 'said.json').write_text(json.dumps(said))\n",
    "sleep": "(ROOT / 'started').touch()\nprint('sleeping', flush=True)\nsleep()\n",
}


def code_archive() -> bytes:
    files = {"pathology/__init__.py": b"", "pathology/commands/__init__.py": b""}
    files.update({f"pathology/commands/{name}.py": (COMMON + body).encode() for name, body in COMMANDS.items()})
    return Code(files).archive()


def processing(name, command, *, inputs=None, outputs=("out",), environment=None, hosts=1, **extra):
    uris = {"code": CODE_URI, **(inputs or {})}
    step = {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {
                "ImageUri": "x@sha256:0",
                "ContainerEntrypoint": ["pathology-run"],
                "ContainerArguments": [command],
            },
            "Environment": environment or {},
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/input/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                        "S3DataDistributionType": "ShardedByS3Key" if key == "sharded" else "FullyReplicated",
                    },
                }
                for key, uri in uris.items()
            ],
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 10}
            },
            "RoleArn": "arn:aws:iam::000000000000:role/local",
        },
        **extra,
    }
    if outputs:
        step["Arguments"]["ProcessingOutputConfig"] = {
            "Outputs": [
                {
                    "OutputName": key,
                    "S3Output": {
                        "S3Uri": {
                            "Std:Join": {
                                "On": "/",
                                "Values": ["s3://local/runs", {"Get": "Execution.PipelineExecutionId"}, name, key],
                            }
                        },
                        "LocalPath": f"/opt/ml/processing/output/{key}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for key in outputs
            ]
        }
    return step


def training(name, command, *, channels=None, hyperparameters=None, **extra):
    arguments = {
        "AlgorithmSpecification": {
            "TrainingImage": "x@sha256:0",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["pathology-run"],
            "ContainerArguments": [command],
        },
        "HyperParameters": hyperparameters or {},
        "InputDataConfig": [
            {
                "ChannelName": key,
                "DataSource": source
                if isinstance(source, dict) and "FileSystemDataSource" in source
                else {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source, "S3DataDistributionType": "FullyReplicated"}},
            }
            for key, source in {"code": CODE_URI, **(channels or {})}.items()
        ],
        "OutputDataConfig": {
            "S3OutputPath": {
                "Std:Join": {"On": "/", "Values": ["s3://local/runs", {"Get": "Execution.PipelineExecutionId"}, name]}
            }
        },
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": "arn:aws:iam::000000000000:role/local",
    }
    arguments.update(extra.pop("arguments", {}))
    return {"Name": name, "Type": "Training", "Arguments": arguments, **extra}


def get(step, output="out"):
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{output}'].S3Output.S3Uri"}


def report(step):
    return [{"PropertyFileName": f"{step}Report", "OutputName": "out", "FilePath": "value.json"}]


def json_get(step, path):
    return {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{step}.PropertyFiles.{step}Report"}, "Path": path}}


CACHED = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P30D"}}


class Account:
    """A local account with a pipeline in it."""

    def __init__(self, root):
        self.root = root
        self.client = LocalSageMaker(root)
        self.store = self.client.state.store
        self.store.write(Uri.parse(CODE_URI), code_archive())

    def pipeline(self, *steps, parameters=(), name="test"):
        definition = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": list(steps)})
        self.client.create_pipeline(
            PipelineName=name, PipelineDefinition=definition, RoleArn="arn:aws:iam::000000000000:role/local"
        )

    def start(self, name="test", **parameters):
        given = [{"Name": key, "Value": value} for key, value in parameters.items()]
        return self.client.start_pipeline_execution(PipelineName=name, PipelineParameters=given)["PipelineExecutionArn"]

    def wait(self, arn):
        """The execution, when it has ended."""

        def state():
            return self.client.describe_pipeline_execution(PipelineExecutionArn=arn)

        until(lambda: state()["PipelineExecutionStatus"] in ("Succeeded", "Failed", "Stopped"), lambda: f"an end: {state()}")
        return state()

    def run(self, **parameters):
        """Start, wait; the execution and its steps by name."""
        arn = self.start(**parameters)
        return self.wait(arn), self.steps(arn)

    def steps(self, arn):
        answer = self.client.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
        return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}

    def job(self, step):
        """What Describe answers of a step's job."""
        ((kind, metadata),) = step["Metadata"].items()
        name = metadata["Arn"].rpartition("/")[2]
        if kind == "ProcessingJob":
            return self.client.describe_processing_job(ProcessingJobName=name)
        return self.client.describe_training_job(TrainingJobName=name)

    def read(self, uri):
        return self.store.read(Uri.parse(uri))

    def asleep(self):
        """Wait until a job has said that it started."""
        until(lambda: list(self.root.glob("executions/*/jobs/*/*/started")))

    def leaders(self):
        """Process ids of the hosts that the runner keeps record of."""
        records = self.root.glob("executions/*/jobs/*/processes.json")
        return [item["pid"] for path in records for item in json.loads(path.read_text())]

    def processes(self):
        """Lines of ps on every process that names this account's folder in its arguments."""
        listing = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listing.splitlines() if str(self.root) in line]

    def runners(self):
        return [int(line.split()[0]) for line in self.processes() if "pipelines.local.runner" in line]

    @staticmethod
    def lives(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture(scope="session")
def open_account():
    """``open_account(folder)``: a local account, the one that lies in the folder or a new one."""
    return Account


@pytest.fixture
def account(tmp_path, open_account):
    return open_account(tmp_path / "state")


@pytest.fixture(scope="session")
def make():
    """Factories of steps and references: ``make.processing(…)``, ``make.get("Step")``."""
    return SimpleNamespace(
        processing=processing, training=training, get=get, report=report, json_get=json_get, cached=CACHED, code=CODE_URI
    )
