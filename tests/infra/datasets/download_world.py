"""What the download scripts are tested in: a server that lies, an S3 that is a folder, a place to download to."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lying_server import LyingServer, make_certificates

from tests.waiting import MAX_WAIT_SECONDS

DATASETS = Path(__file__).parents[3] / "infra" / "datasets"
SECRET = "hf_aSecretThatNobodyMaySee"

AWS = r"""#!{python} -IS
import json, os, shutil, sys
from pathlib import Path
world, words = Path(os.environ["WORLD"]), sys.argv[1:]
with (world / "aws.calls").open("a") as calls:
    calls.write(json.dumps(words) + "\n")
if (world / "aws.refuses").exists() and words[:2] == (world / "aws.refuses").read_text().split():
    sys.exit("An error occurred (AccessDenied) when calling the operation: no")
def path_of(uri):
    return world / "s3" / uri.removeprefix("s3://")
def option(name):
    return words[words.index(name) + 1]
if words[:2] == ["s3api", "head-object"]:
    path = path_of(f"{{option('--bucket')}}/{{option('--key')}}")
    if not path.is_file():
        sys.exit("An error occurred (404) when calling the HeadObject operation: Not Found")
    note = path.with_name(path.name + "#meta")
    print(path.stat().st_size, note.read_text() if note.exists() else "None", sep="\t")
elif words[:2] == ["s3", "cp"] and words[3] == "-":
    sys.stdout.write(path_of(words[2]).read_text())
elif words[:2] == ["s3", "cp"]:
    path = path_of(words[3])
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(words[2], path)
    if "--metadata" in words:
        path.with_name(path.name + "#meta").write_text(option("--metadata").removeprefix("pathology-hash="))
else:
    sys.exit(f"what is {{words}}?")
"""

PYTHON = """#!/bin/bash
[[ $1 == -c ]] && exit "${DESCRIBE_ABSENT:-0}"
[[ "$1 $2" == "-m pathology.encoders.describe" ]] || exit 9
[[ "$4 $6 $8" == "--repository --revision --sha256" ]] || exit 7
test -f "$3/checkpoint.pth" || grep -q "$9" "$3/encoder.json" || exit 8
printf '{"sha256": "%s", "source": {"repository": "%s", "revision": "%s", "sha256": "%s"}}' "$9" "$5" "$7" "$9" >"$3/encoder.json"
"""


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class World:
    """A lying server, a folder to download to, and the tools on the PATH."""

    def __init__(self, root: Path):
        self.root = root
        trusted, server_pem = make_certificates(root / "certificates")
        self.server = LyingServer(server_pem)
        self.to = root / "efs" / "data"
        self.to.parent.mkdir()
        self.tools = root / "tools"
        self.tools.mkdir()
        self.tool("aws", AWS.format(python=sys.executable))
        self.tool("describing-python", PYTHON)
        self.scripts = root / "scripts"
        shutil.copytree(DATASETS, self.scripts, ignore=shutil.ignore_patterns("__pycache__"))
        self.environment = {
            "PATH": f"{self.tools}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(root),
            "WORLD": str(root),
            "CURL_CA_BUNDLE": str(trusted),
            "DOWNLOAD_SCRATCH": str(root / "scratch"),
            "DOWNLOAD_PAUSE_SECONDS": "0",
            "DOWNLOAD_TRIES": "3",
            "GDC_API": self.server.url(),
            "HF_ENDPOINT": self.server.url(),
            "HF_TOKEN": SECRET,
            "PYTHON": str(self.tools / "describing-python"),
        }
        self.files = {"/one": os.urandom(300_000)}
        self.server.files |= self.files

    def tool(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.scripts / script), *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=MAX_WAIT_SECONDS,
            check=False,
        )

    def take(self, *, url: str = "", hash: str | None = None, size: str = "", **environment: str) -> "Run":
        """Fetch /one with the part that every script shares."""
        body = self.files["/one"]
        code = 'set -uo pipefail; source "$0"; open_destination "$1"; take "$2" sub/one.bin "$3" "$4"'
        wanted = f"md5:{md5(body)}" if hash is None else hash
        command = ["bash", "-c", code, str(self.scripts / "fetch.sh"), str(self.to), url or self.server.url("/one"), wanted, size]
        done = subprocess.run(
            command, env=self.environment | environment, capture_output=True, text=True, timeout=MAX_WAIT_SECONDS, check=False
        )
        return Run(done.returncode, done.stderr)

    def downloaded(self) -> dict[str, bytes]:
        """Files below the destination but for its bookkeeping."""
        paths = [path for path in self.to.rglob("*") if path.is_file() and not path.name.startswith(".downloads")]
        return {str(path.relative_to(self.to)): path.read_bytes() for path in paths}

    def objects(self) -> dict[str, bytes]:
        root = self.root / "s3"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and not path.name.endswith("#meta")
        }

    def calls(self, *start: str) -> int:
        log = self.root / "aws.calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return sum(json.loads(line)[: len(start)] == list(start) for line in lines)


class Run:
    """How a script ended: its exit code, its output, and the one line about an error."""

    def __init__(self, code: int, output: str):
        self.code, self.output = code, output
        errors = [line for line in output.splitlines() if line.startswith("error:")]
        assert len(errors) == (1 if code else 0), output
        self.error = errors[0] if errors else ""
