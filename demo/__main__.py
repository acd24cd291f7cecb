"""``python -m demo``: make data, upsert the pipeline here, run it, on this machine alone.

With ``--slides`` and ``--labels`` the same run reads a person's own slides.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from pipelines.cli import run
from pipelines.service.session import state_folder

BUCKET = "local"
SETTINGS = {
    "ManifestUri": "none",
    "EncoderUri": f"s3://{BUCKET}/demo/tiny-encoder",
    "FeaturesUri": f"s3://{BUCKET}/demo/features",
    "Precision": "float32",
    "ExtractInstanceCount": "1",
    "Epochs": "20",
    "TilesPerBag": "200",
    "TestFraction": "0.35",
    "MinAuroc": "0.6",
}
"""What a run on a laptop changes: where its data lies, a tiny encoder in full precision, one host, more test patients."""

PATIENTS, POSITIVES = 64, 26


def _finished(folder: Path) -> Path:
    return folder / ".complete"


def make_data(state: Path) -> dict[str, str]:
    """Generate the demo's slides and labels once; the parameters that name them."""
    folder = Uri.parse(f"s3://{BUCKET}/demo/msi").under(state)
    if not _finished(folder).is_file():
        from demo.slides import make_slides

        print("making slides for the demo (seeded, with H&E-like textures; no patient's)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "slides").mkdir(parents=True)
        make_slides(folder / "slides", folder / "labels" / "labels.csv", patients=PATIENTS, positives=POSITIVES)
        _finished(folder).touch()
    return {"SlidesUri": f"s3://{BUCKET}/demo/msi/slides", "LabelsUri": f"s3://{BUCKET}/demo/msi/labels/labels.csv"}


def link_data(state: Path, slides: Path, labels: Path) -> dict[str, str]:
    """Put a person's own slides and label table where the run reads, as links; the parameters that name them.

    Raises:
        RequestError: when either is not there.
    """
    if not slides.is_dir():
        raise RequestError(f"SLIDES={slides}: there is no such folder")
    if not labels.is_file():
        raise RequestError(f"LABELS={labels}: there is no such file")
    folder = Uri.parse(f"s3://{BUCKET}/own").under(state)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "labels").mkdir(parents=True)
    (folder / "slides").symlink_to(slides.resolve(), target_is_directory=True)
    (folder / "labels" / labels.name).symlink_to(labels.resolve())
    return {"SlidesUri": f"s3://{BUCKET}/own/slides", "LabelsUri": f"s3://{BUCKET}/own/labels/{labels.name}"}


def make_encoder(state: Path) -> None:
    """The tiny seeded encoder, once."""
    folder = Uri.parse(SETTINGS["EncoderUri"]).under(state)
    if not (folder / "encoder.json").is_file():
        from pathology.models.tiny import make_tiny_encoder

        print("making the tiny encoder (random weights from a seed: it shows that things run, not what H-optimus-0 can do)")
        make_tiny_encoder(folder)


def forget(state: Path) -> None:
    """Drop what earlier runs made, and keep the data they started from."""
    for name in ("executions", "cache", "pipelines", "model-packages", "efs", f"s3/{BUCKET}/runs", f"s3/{BUCKET}/demo/features"):
        shutil.rmtree(state / name, ignore_errors=True)


def demo(
    task: Annotated[str, typer.Option("--task")] = "msi",
    slides: Annotated[Path | None, typer.Option("--slides", help="A folder of your own slides.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="Their label table, csv or xlsx.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget earlier runs first.")] = False,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as for pipelines.start.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")] = False,
) -> int:
    """Run a whole pipeline on this machine: data, upsert, execution, model version."""
    from pipelines.start import start
    from pipelines.upsert import upsert

    if (slides is None) != (labels is None):
        raise RequestError("give both SLIDES=<folder> and LABELS=<table>, or neither")
    state = state_folder()
    if fresh:
        forget(state)
    data = link_data(state, slides, labels) if slides and labels else make_data(state)
    make_encoder(state)
    sys.stdout.flush()
    code = upsert(task, environment="local", debug=debug)
    if code:
        return code
    values = {**SETTINGS, **data}
    return start(
        task, environment="local", param=[*(f"{key}={value}" for key, value in values.items()), *(param or [])], debug=debug
    )


if __name__ == "__main__":
    run(demo)
