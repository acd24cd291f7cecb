"""Lays out extraction and collection jobs by hand, the way the service does, with folders for buckets."""

import importlib
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from colour_encoder import ColourEncoder, write_manifest
from msi_jobs import write_cohort, write_flow
from pathology.commands.extract_features import Extraction
from pathology.contracts.cohort import CohortRow
from pathology.contracts.extraction.collect import CollectFeaturesJob
from pathology.contracts.extraction.extract import ExtractFeaturesJob
from pathology.contracts.extraction.slides import SlideToExtract
from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.storage import FolderStore, Store
from pathology.contracts.uris import Uri
from pathology.job import run

from tests.waiting import MAX_WAIT_SECONDS, until

FEATURES = "s3://bucket/features"
ENCODER = "s3://bucket/models/encoder"
HOSTS = ("algo-1", "algo-2")

IN_COLOUR = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from colour_encoder import ColourEncoder
from pathology.commands import extract_features
from pathology.job import run
from pathology.wsi import extraction
extract_features.Extraction._load = lambda *_: ColourEncoder()
"""


class Jobs:
    """A root of URIs with an encoder's manifest, and jobs that run on it in this process or in processes of their own.

    The encoder is one of colours, unless ``write_encoder`` puts another in its folder.
    """

    def __init__(self, top: Path, write_encoder=write_manifest) -> None:
        self.top, self.uris = top, top / "uris"
        self.manifest = write_encoder(Uri.parse(ENCODER).under(self.uris))
        self.store: Store = FolderStore(self.uris)
        self.cohort: list[CohortRow] = []
        self.started: list[subprocess.Popen[str]] = []

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        for process in self.started:
            process.kill()
            process.communicate()

    @property
    def features(self) -> Path:
        """Where the features of the default settings lie."""
        settings_hash = Tiling().hash(self.manifest.name, self.manifest.sha256)
        return (Uri.parse(FEATURES) / settings_hash).under(self.uris)

    def add(self, slide: Path, slide_id: str, *, uri: str | None = None, **changes) -> None:
        """Put a slide at its URI and into the cohort: classes and sides of the split take turns."""
        number = len(self.cohort)
        uri = uri or f"s3://bucket/slides/{slide_id}{slide.suffix}"
        target = Uri.parse(uri).under(self.uris)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(slide.read_bytes())
        split = "test" if number % 4 >= 2 else "train"
        row = {
            "slide_id": slide_id, "patient_id": f"P{number}", "site": "D1", "slide_uri": uri,
            "bytes": slide.stat().st_size, "md5": "", "mpp": None, "label": number % 2, "split": split,
            "fold": 0 if split == "train" else None,
        }  # fmt: skip
        self.cohort.append(CohortRow.model_validate({**row, **changes}))

    def to_extract(self) -> list[SlideToExtract]:
        """The cohort as extraction has it, with the store's marks."""
        return [SlideToExtract.of(row, self.mark(row)) for row in self.cohort]

    def mark(self, row: CohortRow) -> str:
        """The store's mark of a slide; empty where it is not there."""
        entry = self.store.entry(Uri.parse(row.slide_uri))
        return entry.mark if entry else ""

    def root(self, name: str, host: str = "algo-1") -> Path:
        """A job's root on a host."""
        return self.top / "jobs" / name / host

    def layout(self, name: str, settings=None, *, host="algo-1", hosts=HOSTS, outputs=(), inputs=None) -> Path:
        """A job's root with its contract files; an extraction's unless ``settings`` say otherwise. ``inputs`` adds to those that
        Prepare hands on."""
        root = self.root(name, host)
        settings = settings or ExtractFeaturesJob(features=FEATURES)
        names = ("cohort", "slides_to_extract", "flow", "encoder", "models")
        channels = {**{key: f"/opt/ml/processing/input/{key}" for key in names}, **(inputs or {})}
        config = {
            "ProcessingJobName": name,
            "ProcessingInputs": [
                {"InputName": key, "S3Input": {"S3Uri": f"s3://bucket/{name}/{key}", "LocalPath": path}}
                for key, path in channels.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": key,
                        "S3Output": {"S3Uri": f"s3://bucket/{name}/{key}", "LocalPath": f"/opt/ml/processing/output/{key}"},
                    }
                    for key in outputs
                ]
            },
            "Environment": {f"SM_HP_{key.upper().replace('-', '_')}": value for key, value in settings.as_strings().items()},
        }
        for path, content in {
            "config/processingjobconfig.json": json.dumps(config),
            "config/resourceconfig.json": json.dumps({"current_host": host, "hosts": list(hosts)}),
            "processing/input/slides_to_extract/slides_to_extract.csv": SlideToExtract.table(self.to_extract()).decode(),
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        write_cohort(root / "processing/input/cohort", self.cohort)
        write_flow(root / "processing/input/flow", self.cohort)
        for channel in ("models", "encoder"):
            if not (root / "processing/input" / channel).exists():
                (root / "processing/input" / channel).symlink_to(Uri.parse(ENCODER).under(self.uris))
        return root

    def environment(self, root: Path) -> dict[str, str]:
        """What a job finds its root and its buckets by."""
        return {"PATHOLOGY_ROOT": str(root), "PATHOLOGY_URI_ROOT": str(self.uris)}

    def start(self, root: Path, *arguments: str) -> subprocess.Popen[str]:
        """Start Python on a job's root."""
        environment = {**os.environ, **self.environment(root)}
        command = [sys.executable, *arguments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def start_extraction(self, root: Path, code: str = "") -> subprocess.Popen[str]:
        """Start an extraction of colours on a job's root, after ``code``."""
        return self.start(root, "-c", f"{IN_COLOUR}{code}\nrun(extract_features.main)")

    def run_here(self, command: str, root: Path) -> tuple[int, str, str]:
        """Run a command in this process to its end: exit code, standard output, standard error."""
        output, errors = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        main = importlib.import_module(f"pathology.commands.{command}").main
        code = 0
        with (
            patch.dict(os.environ, self.environment(root)),
            patch.object(Extraction, "_load", lambda *_: ColourEncoder()),
            patch("signal.signal"),
            redirect_stdout(output),
            redirect_stderr(errors),
        ):
            try:
                run(main)
            except SystemExit as stopped:
                code = stopped.code
        return code, *(stream.buffer.getvalue().decode() for stream in (output, errors))

    def extract(self, name: str = "extract-1", *, host="algo-1", hosts=HOSTS, inputs=None, **settings) -> tuple[int, str, str]:
        """Extract colours in this process: exit code, standard output, standard error."""
        wanted = ExtractFeaturesJob(features=FEATURES, **settings)
        return self.run_here("extract_features", self.layout(name, wanted, host=host, hosts=hosts, inputs=inputs))

    def layout_collection(self, name: str = "collect-1", **settings) -> Path:
        """A collection's root with its contract files."""
        return self.layout(name, CollectFeaturesJob(features=FEATURES, **settings), outputs=["slides"])

    def collect(self, name: str = "collect-1", **settings) -> tuple[int, str, str]:
        """Collect in this process: exit code, standard output, standard error."""
        return self.run_here("collect_features", self.layout_collection(name, **settings))

    def sidecar(self, slide_id: str) -> dict:
        """A slide's sidecar."""
        return json.loads((self.features / f"{slide_id}.json").read_text())


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a job."""
    output, errors = process.communicate(timeout=MAX_WAIT_SECONDS)
    return process.returncode, output, errors


def wait_until(happened, process: subprocess.Popen[str]) -> None:
    """Wait for what happens in a process, which has to be alive for it."""
    until(happened, failed=lambda: None if process.poll() is None else process.communicate())
