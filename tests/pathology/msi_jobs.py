"""Jobs of the msi pipeline in temporary folders: the container contract, a store of folders, features with a planted signal."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from packed import pack
from pathology.contracts.cohort import CLASSES, COHORT, CohortRow, SlideRow, classes_json
from pathology.contracts.cohort_flow import FLOW, LABELLED, CohortFlow, FlowStep, count_sides
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.msi.evaluate import EvaluateMsi, PatientPredictionRow
from pathology.contracts.msi.train import TrainMsi
from pathology.contracts.settings import Settings
from pathology.job import Job
from pathology.wsi.features import content_sha256, write_features

MANIFEST = EncoderManifest(
    name="tiny", architecture="vit_tiny_patch16_224", sha256="a" * 64, dimension=16, placeholder=True, remark="seeded, for tests"
)
SETTINGS_HASH = "0123456789abcdef"


GRID = {"patch_size": 224, "patch_size_level0": 448, "patch_side_level0": 448.5}
"""What extraction writes on a feature file's coordinates, as far as an endpoint reads it."""


def corners(count: int) -> np.ndarray:
    """Level-0 px x, y of so many tiles in rows of six."""
    return np.stack([np.arange(count) % 6, np.arange(count) // 6], axis=1) * 448


def processing_job(root: Path, settings: Settings, inputs: dict[str, Path], outputs: tuple[str, ...] = ()) -> Job:
    """A Processing job as the service would describe it to a container whose /opt/ml is ``root``.

    Each input and output is the folder of its name in s3://bucket.
    """
    input_uris, output_uris = ({name: f"s3://bucket/{name}" for name in names} for names in (inputs, outputs))
    folders = {name: root / name for name in outputs}
    values = settings.as_strings()
    return Job("processing", root, "job-1", "algo-1", ("algo-1",), inputs, folders, values, input_uris, output_uris)


def training_job(root: Path, settings: Settings, channels: dict[str, Path]) -> Job:
    """A Training job with folders as channels."""
    return Job("training", root, "job-1", "algo-1", ("algo-1",), channels, {"model": root / "model"}, settings.as_strings())


def plant(
    uri_root: Path,
    *,
    patients: int = 40,
    positives: int = 16,
    signal: float = 1.5,
    permuted: bool = False,
    folds: int = 3,
    test_fraction: float = 0.4,
    tiles: int = 30,
    seed: int = 0,
) -> tuple[list[CohortRow], list[SlideRow]]:
    """A cohort whose positives carry ``signal`` in a quarter of their tiles; ``permuted`` breaks the tie between label and tiles."""
    generator = np.random.default_rng(seed)
    carries = np.arange(patients) < positives
    labels = generator.permutation(carries) if permuted else carries
    cohort, slides = [], []
    for patient in range(patients):
        name = f"P{patient:03d}"
        test = (patient * 7 % 10) / 10 < test_fraction
        for slide in range(2 if patient % 5 == 0 else 1):
            slide_id = f"{name}-{slide}"
            count = int(generator.integers(tiles // 2, tiles + 1))
            features = generator.normal(size=(count, MANIFEST.dimension))
            features[: max(1, count // 4), 0] += signal * carries[patient]
            uri = f"s3://bucket/features/{SETTINGS_HASH}/{slide_id}.h5"
            path = uri_root / "s3" / "bucket" / "features" / SETTINGS_HASH / f"{slide_id}.h5"
            coords = corners(count)
            sha256 = write_features(path, features, coords, np.ones(count), feature_attributes(count), grid=GRID)
            content = content_sha256(features, coords)
            cohort.append(
                CohortRow(
                    slide_id=slide_id,
                    patient_id=name,
                    site="AB"[patient % 2],
                    slide_uri=f"s3://bucket/slides/{slide_id}.svs",
                    bytes=1,
                    md5="",
                    mpp=None,
                    label=int(labels[patient]),
                    split="test" if test else "train",
                    fold=None if test else patient % folds,
                )
            )
            slides.append(slide_row(slide_id, features=uri, sha256=sha256, content=content, tiles=count))
    return cohort, slides


def feature_attributes(tiles: int | None = None) -> dict[str, str | int | float | bool]:
    """What extraction writes on a feature file, as far as learning reads it; counts where all of so many ``tiles`` were read."""
    counts = {} if tiles is None else {"tiles": tiles, "tiles_with_tissue": tiles, "tiles_failed": 0}
    return {"encoder": MANIFEST.name, "checkpoint_sha256": MANIFEST.sha256, "settings_hash": SETTINGS_HASH, **counts}


def slide_row(
    slide_id: str, status: str = "ok", features: str = "", sha256: str = "", content: str = "", tiles: int | None = None
) -> SlideRow:
    """A row of slides.csv."""
    return SlideRow.model_validate(
        {
            "slide_id": slide_id,
            "status": status,
            "reason": "" if status == "ok" else "planted",
            "features": features,
            "sha256": sha256,
            "content_sha256": content,
            "settings_hash": SETTINGS_HASH,
            "mpp": 0.5,
            "mpp_source": "aperio",
            "tiles": tiles,
            "failed_tiles": 0,
        }
    )


def write_table(folder: Path, name: str, rows: list) -> Path:
    """Write rows as ``folder/name``; the folder, as an input holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(type(rows[0]).table(rows))
    return folder


def write_cohort(folder: Path, rows: list[CohortRow]) -> Path:
    """cohort.csv, and the names of its classes."""
    write_table(folder, COHORT, rows)
    (folder / CLASSES).write_bytes(classes_json(("MSS", "MSI-H")))
    return folder


def write_flow(folder: Path, rows: list[CohortRow], **about) -> Path:
    """cohort.json of rows that nothing is known of but that they are labelled; ``about`` adds to it."""
    step = FlowStep(name=LABELLED, slides=len(rows), patients=len({row.patient_id for row in rows}))
    flow = CohortFlow(steps=[step], sides=count_sides(rows)).model_dump(mode="json")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FLOW).write_text(json.dumps({"flow": flow, "warnings": [], **about}))
    return folder


def write_manifest(folder: Path, manifest: EncoderManifest = MANIFEST) -> Path:
    """A models channel that holds the manifest (and a checkpoint that nobody opens here)."""
    (folder / manifest.name).mkdir(parents=True, exist_ok=True)
    (folder / manifest.name / "encoder.json").write_bytes(manifest.to_json())
    return folder


def strict_json(path: Path) -> dict:
    """Read JSON that must not hold NaN or infinities."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{path.name} holds {text}")

    return json.loads(path.read_text(), parse_constant=refuse)


QUICK = TrainMsi(epochs=8, hidden_size=32, learning_rate=5e-3, patience=4)


def make_msi_run(root: Path) -> None:
    """A finished training on features that carry a signal."""
    run = MsiRun(root, patients=100, positives=40, signal=2.5)
    run.train()
    run.keep()


class MsiRun:
    """Planted features as the EFS mount and the store both show them, ready to train on and to evaluate."""

    def __init__(self, root: Path, **planted) -> None:
        self.root = root
        self.uris = root / "uris"
        self.cohort, self.slides = plant(self.uris, **planted)
        self.features = self.uris / "s3" / "bucket" / "features"
        self.models = write_manifest(root / "models")
        self.log = ""

    def keep(self) -> None:
        """Write beside the features what is known of them, and the log of the training."""
        write_table(self.root, "cohort.csv", self.cohort)
        write_table(self.root, "slides.csv", self.slides)
        (self.root / "log.txt").write_text(self.log)

    @classmethod
    def kept(cls, root: Path) -> MsiRun:
        """One that :meth:`keep` wrote, or a copy of it."""
        run = cls.__new__(cls)
        run.root, run.uris, run.models = root, root / "uris", root / "models"
        run.features = run.uris / "s3" / "bucket" / "features"
        run.cohort, run.slides = CohortRow.read(root / "cohort.csv"), SlideRow.read(root / "slides.csv")
        run.log = (root / "log.txt").read_text()
        return run

    def feature_file(self, slide_id: str) -> Path:
        """A slide's features."""
        return self.features / SETTINGS_HASH / f"{slide_id}.h5"

    def training(self, folder: Path | None = None, settings: TrainMsi = QUICK) -> Job:
        """A training job over the run's tables; ``folder`` is its /opt/ml."""
        folder = folder or self.root / "ml"
        channels = {
            "training": self.features,
            "models": self.models,
            "encoder": self.models,
            "slides": write_table(folder / "tables" / "slides", "slides.csv", self.slides),
            "splits": write_cohort(folder / "tables" / "splits", self.cohort),
        }
        return training_job(folder, settings, channels)

    def train(self, settings: TrainMsi = QUICK) -> Path:
        """Train; the model's folder. What the job printed is kept as ``log``."""
        from pathology.commands.train_msi_tcga import main

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main(self.training(settings=settings))
        self.log = printed.getvalue()
        return self.root / "ml" / "model"

    def packed(self) -> Path:
        """A folder with the model as the service packs it, once."""
        archive = self.root / "packed" / "model.tar.gz"
        if not archive.exists():
            pack(self.root / "ml" / "model", archive.parent)
        return archive.parent

    def evaluate(
        self,
        folder: Path,
        slides: list[SlideRow] | None = None,
        cohort: list[CohortRow] | None = None,
        model: Path | None = None,
        **settings,
    ) -> tuple[dict, list[PatientPredictionRow], str]:
        """Evaluate the packed model, or the one in the folder ``model``: evaluation.json, predictions, and what was printed."""
        from pathology.commands.evaluate_msi import main

        inputs = {
            "model": model or self.packed(),
            "slides": write_table(folder / "slides", "slides.csv", slides or self.slides),
            "cohort": write_cohort(folder / "cohort", cohort or self.cohort),
            "flow": write_flow(folder / "flow", cohort or self.cohort),
            "encoder": self.models,
        }
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main(processing_job(folder, EvaluateMsi(**{"resamples": 500, **settings}), inputs, ("evaluation",)))
        output = folder / "evaluation"
        return strict_json(output / "evaluation.json"), PatientPredictionRow.read(output / "predictions.csv"), printed.getvalue()
