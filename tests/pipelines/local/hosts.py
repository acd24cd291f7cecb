"""A local account with endpoints over models that need no library: a small server, and what it is to do wrong."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.local.client import LocalSageMaker
from pipelines.local.hosting import hosted
from pipelines.local.runtime import LocalRuntime
from tests.pipelines.local.test_shapes import Checked
from tests.waiting import until

ROLE = "arn:aws:iam::000000000000:role/local"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/training@sha256:" + "0" * 64
SERVE = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION, FAULT = os.environ["VERSION"], os.environ.get("FAULT")
if FAULT == "exits":
    sys.exit("error: the weights are gone")

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm, wbufsize = True, -1

    def say(self, status, **said):
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        waits = FAULT == "never" or (FAULT == "waits" and not Path(os.environ["FOR"]).exists())
        self.say(503 if waits else 200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        os.write(1, b"asked " + body + b"\\n")
        if FAULT == "500":
            return self.say(500, error="the model fails")
        if FAULT == "breaks":
            os._exit(7)
        if body.startswith(b"slow"):
            while not Path(os.environ["FOR"]).exists():
                time.sleep(0.01)
        if body == b"odd":
            return self.say(400, error="this is no picture")
        root = Path(os.environ["PATHOLOGY_ROOT"])
        channels = {path.parent.name: path.read_text() for path in root.glob("additional-model-data-sources/*/*")}
        self.say(200, model_version=VERSION, body=body.decode(), accept=self.headers["Accept"], channels=channels)

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"event": "listening", "port": server.server_port}), flush=True)
server.serve_forever()
"""


def archive(files):
    """A model.tar.gz of files by name."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return raw.getvalue()


MODEL = archive(
    {"config.json": "{}", "code/pathology/__init__.py": "", "code/pathology/commands/__init__.py": ""}
    | {"code/pathology/commands/serve.py": SERVE}
)


class Hosts:
    """A local account, what it hosts, and both of its clients; every answer is held against the service's shape."""

    def __init__(self, root):
        self.root, self.client, self.runtime = root, Checked(LocalSageMaker(root)), LocalRuntime(root)
        self.store = FolderStore(root)
        self.put("s3://local/models/model.tar.gz", MODEL)
        self.put("s3://local/encoders/tiny/manifest.json", b"tiny")

    def put(self, uri, content):
        self.store.write(Uri.parse(uri), content)

    def model(self, name, *, data="s3://local/models/model.tar.gz", encoder="s3://local/encoders/tiny/", **environment):
        container = {
            "Image": IMAGE,
            "ModelDataSource": {"S3DataSource": {"S3Uri": data, "S3DataType": "S3Object", "CompressionType": "Gzip"}},
            "AdditionalModelDataSources": [
                {
                    "ChannelName": "encoder",
                    "S3DataSource": {"S3Uri": encoder, "S3DataType": "S3Prefix", "CompressionType": "None"},
                }
            ],
            "Environment": {"VERSION": name, **environment},
        }
        return self.client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def config(self, name, **variant):
        variants = [
            {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, **variant}
        ]
        return self.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)

    def version(self, name, **environment):
        """A model and its configuration."""
        self.model(name, **environment)
        self.config(name)

    def create(self, name, config):
        self.client.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return self.wait(name)

    def update(self, name, config, **request):
        self.client.update_endpoint(EndpointName=name, EndpointConfigName=config, **request)

    def state(self, name):
        return self.client.describe_endpoint(EndpointName=name)

    def wait(self, name, *statuses):
        """What Describe answers when the endpoint has settled."""
        wanted = statuses or ("InService", "Failed")
        until(lambda: self.state(name)["EndpointStatus"] in wanted, lambda: f"{wanted}: {self.state(name)}, {self.log(name)}")
        return self.state(name)

    def invoke(self, name, body=b"x", **request):
        return json.loads(self.runtime.invoke_endpoint(EndpointName=name, Body=body, **request)["Body"].read())

    def log(self, name):
        path = hosted(self.root, name).log_path
        return path.read_text() if path.exists() else ""

    def servers(self, name):
        """Process ids of an endpoint's servers."""
        path = hosted(self.root, name).servers / "processes.json"
        return [item["pid"] for item in json.loads(path.read_text())]

    def front(self, name):
        """The process id of an endpoint's front."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"pipelines.local.front" in words and words[-3:-1] == [os.fsencode(self.root), name.encode()]:
                return int(path.parent.name)
        return None

    def gone(self, name):
        try:
            self.state(name)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ValidationException"
            return self.front(name) is None
        return False

    def delete(self, name):
        self.client.delete_endpoint(EndpointName=name)
        until(lambda: self.gone(name), lambda: f"the end of {name}: {self.log(name)}")

    def end(self):
        """End all that is left."""
        for folder in (self.root / "endpoints").glob("*"):
            front = self.front(folder.name)
            if front:
                os.kill(front, 9)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """An account of this module."""
    hosts = Hosts(tmp_path_factory.mktemp("hosts") / "state")
    yield hosts
    hosts.end()
