"""Lays out extraction and collection jobs by hand, the way the service does, with folders for buckets."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pathology.contracts.settings_msi import CollectFeatures, ExtractFeatures, Tiling
from pathology.contracts.tables import CohortRow
from pathology.contracts.uris import Uri
from pathology.models.encoder import find_card
from pathology.models.tiny import make_tiny_encoder

FEATURES = "s3://bucket/features"
ENCODER = "s3://bucket/models/tiny"


class Jobs:
    """A root of URIs with an encoder, and jobs that run on it in processes of their own."""

    def __init__(self, top: Path) -> None:
        self.top, self.uris = top, top / "uris"
        make_tiny_encoder(Uri.parse(ENCODER).under(self.uris))
        self.card = find_card(Uri.parse(ENCODER).under(self.uris))[1]
        self.cohort: list[CohortRow] = []

    @property
    def features(self) -> Path:
        """Where the features of the default settings lie."""
        settings_hash = Tiling().hash(self.card.name, self.card.sha256)
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

    def layout(self, name: str, settings, *, host="algo-1", outputs=(), inputs=None) -> Path:
        """A job's root with its contract files; ``inputs`` adds to cohort and models."""
        root = self.top / "jobs" / name / host
        places = {"cohort": "/opt/ml/processing/input/cohort", "models": "/opt/ml/processing/input/models", **(inputs or {})}
        config = {
            "ProcessingJobName": name,
            "ProcessingInputs": [{"InputName": key, "S3Input": {"LocalPath": path}} for key, path in places.items()],
            "ProcessingOutputConfig": {
                "Outputs": [{"OutputName": key, "S3Output": {"LocalPath": f"/opt/ml/processing/output/{key}"}} for key in outputs]
            },
            "Environment": {f"SM_HP_{key.upper().replace('-', '_')}": value for key, value in settings.as_strings().items()},
        }
        for path, content in {
            "config/processingjobconfig.json": json.dumps(config),
            "config/resourceconfig.json": json.dumps({"current_host": host, "hosts": ["algo-1", "algo-2"]}),
            "processing/input/cohort/cohort.csv": CohortRow.table(self.cohort).decode(),
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        models = root / "processing/input/models"
        if not models.exists():
            models.symlink_to(Uri.parse(ENCODER).under(self.uris))
        return root

    def start(self, command: str, root: Path) -> subprocess.Popen[str]:
        """Start a command on a job's root."""
        environment = {**os.environ, "PATHOLOGY_ROOT": str(root), "PATHOLOGY_URI_ROOT": str(self.uris)}
        return subprocess.Popen(
            [sys.executable, "-m", f"pathology.commands.{command}"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def extract(self, name: str = "extract-1", *, host: str = "algo-1", inputs=None, **settings):
        """Run an extraction to its end: exit code, standard output, standard error."""
        wanted = ExtractFeatures(features=FEATURES, **settings)
        return finish(self.start("extract_features", self.layout(name, wanted, host=host, inputs=inputs)))

    def collect(self, name: str = "collect-1", **settings):
        """Run a collection to its end, and where its output lies."""
        wanted = CollectFeatures(features=FEATURES, encoder=ENCODER, **settings)
        root = self.layout(name, wanted, outputs=["slides"])
        return *finish(self.start("collect_features", root)), root / "processing/output/slides"

    def sidecar(self, slide_id: str) -> dict:
        """A slide's sidecar."""
        return json.loads((self.features / f"{slide_id}.json").read_text())


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a job."""
    output, errors = process.communicate(timeout=180)
    return process.returncode, output, errors
