"""``python -m demo --task msi``: make data, upsert the task's pipeline here, run it, on this machine alone.

With ``--slides`` and ``--labels`` (msi), ``--annotations`` and ``--images`` (mhist) or ``--dataset`` (lizard), the same run reads a
person's own data.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from pipelines.cli import run
from pipelines.config import TASKS
from pipelines.service.session import state_folder

BUCKET = "local"
ENCODER = f"s3://{BUCKET}/demo/tiny-encoder"
PATIENTS, POSITIVES, PATCHES, NUCLEI_PATCHES = 64, 26, 600, 160


def _slides(folder: Path) -> None:
    from demo.slides import make_slides

    print("making slides for the demo (seeded, with H&E-like textures; no patient's)", flush=True)
    (folder / "slides").mkdir(parents=True)
    make_slides(folder / "slides", folder / "labels" / "labels.csv", patients=PATIENTS, positives=POSITIVES)


def _patches(folder: Path) -> None:
    from demo.patches import make_patches

    print("making patches for the demo (seeded, of two H&E-like textures; no patient's)", flush=True)
    folder.mkdir(parents=True)
    make_patches(folder, PATCHES)


def _nuclei(folder: Path) -> None:
    from demo.nuclei import make_nuclei

    print("making nuclei for the demo (seeded, of six H&E-like kinds; no patient's)", flush=True)
    make_nuclei(folder / "arrays", NUCLEI_PATCHES)


@dataclass(frozen=True)
class Demo:
    """What a run on a laptop needs of a task: how its data are made, where they lie below the task's folder, what it changes.

    ``data`` is the made data by parameter; ``own`` a person's, by parameter: the option, and whether it is a folder.
    """

    make: Callable[[Path], None]
    data: Mapping[str, str]
    own: Mapping[str, tuple[str, bool]]
    settings: Mapping[str, str]


DEMOS = {
    "msi": Demo(
        make=_slides,
        data={"SlidesUri": "slides", "LabelsUri": "labels/labels.csv"},
        own={"SlidesUri": ("slides", True), "LabelsUri": ("labels", False)},
        # A tiny encoder in full precision, one host, more test patients.
        settings={
            "ManifestUri": "none",
            "EncoderUri": ENCODER,
            "FeaturesUri": f"s3://{BUCKET}/demo/features",
            "Precision": "float32",
            "ExtractInstanceCount": "1",
            "Epochs": "20",
            "TilesPerBag": "200",
            "TestFraction": "0.35",
            "MinAuroc": "0.6",
        },
    ),
    "mhist": Demo(
        make=_patches,
        data={"AnnotationsUri": "annotations.csv", "ImagesUri": "images"},
        own={"AnnotationsUri": ("annotations", False), "ImagesUri": ("images", True)},
        # A tiny encoder, and fewer patches than MHIST's.
        settings={"EncoderUri": ENCODER, "PublishedCounts": "false", "MinAuroc": "0.6"},
    ),
    "lizard": Demo(
        make=_nuclei,
        data={"DatasetUri": "arrays"},
        own={"DatasetUri": ("dataset", True)},
        # A tiny encoder, a narrow decoder, a short training, and fewer patches than Lizard's.
        settings={
            "EncoderUri": ENCODER,
            "PublishedCounts": "false",
            "Epochs": "6",
            "BatchSize": "4",
            "LearningRate": "0.01",
            "Width": "8",
            "MinBpq": "0.3",
        },
    ),
}


def _finished(folder: Path) -> Path:
    return folder / ".complete"


def make_data(state: Path, task: str) -> dict[str, str]:
    """Generate a task's data once; the parameters that name them."""
    root = Uri.parse(f"s3://{BUCKET}/demo/{task}")
    folder = root.under(state)
    if not _finished(folder).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        DEMOS[task].make(folder)
        _finished(folder).touch()
    return {name: str(root / key) for name, key in DEMOS[task].data.items()}


def link_data(state: Path, task: str, given: Mapping[str, Path]) -> dict[str, str]:
    """Put a person's own data, by option, where the run reads, as links; the parameters that name them.

    Raises:
        RequestError: when one is not there.
    """
    for option, is_folder in DEMOS[task].own.values():
        path = given[option]
        if not (path.is_dir() if is_folder else path.is_file()):
            raise RequestError(f"{option.upper()}={path}: there is no such {'folder' if is_folder else 'file'}")
    root = Uri.parse(f"s3://{BUCKET}/own")
    shutil.rmtree(root.under(state), ignore_errors=True)
    values = {}
    for parameter, (option, is_folder) in DEMOS[task].own.items():
        uri = root / option if is_folder else root / option / given[option].name
        link = uri.under(state)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(given[option].resolve(), target_is_directory=is_folder)
        values[parameter] = str(uri)
    return values


def own_data(task: str, options: Mapping[str, Path | None]) -> dict[str, Path]:
    """The options that name a person's own data: all that the task has, or none.

    Raises:
        RequestError: for a task without a demo, some of its options, or another task's.
    """
    if task not in DEMOS:
        raise RequestError(f"there is no task {task!r}: choose one of {', '.join(TASKS)}")
    given = {name: path for name, path in options.items() if path is not None}
    wanted = dict(DEMOS[task].own.values())
    stray = sorted(set(given) - set(wanted))
    if stray:
        raise RequestError(f"{stray[0].upper()} is no data of TASK={task}, which reads {' and '.join(map(str.upper, wanted))}")
    if given and len(given) < len(wanted):
        said = " and ".join(f"{name.upper()}=<{'folder' if is_folder else 'table'}>" for name, is_folder in wanted.items())
        raise RequestError(f"give both {said}, or neither")
    return given


def make_encoder(state: Path) -> None:
    """The tiny seeded encoder, once."""
    folder = Uri.parse(ENCODER).under(state)
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
    slides: Annotated[Path | None, typer.Option("--slides", help="msi: a folder of your own slides.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="msi: their label table, csv or xlsx.")] = None,
    annotations: Annotated[Path | None, typer.Option("--annotations", help="mhist: your own annotations.csv.")] = None,
    images: Annotated[Path | None, typer.Option("--images", help="mhist: the folder of its images.zip or PNGs.")] = None,
    dataset: Annotated[Path | None, typer.Option("--dataset", help="lizard: a folder with images.npy and so on.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget earlier runs first.")] = False,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as for pipelines.start.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")] = False,
) -> int:
    """Run a whole pipeline on this machine: data, upsert, execution, model version."""
    from pipelines.start import start
    from pipelines.upsert import upsert

    own = own_data(task, {"slides": slides, "labels": labels, "annotations": annotations, "images": images, "dataset": dataset})
    state = state_folder()
    if fresh:
        forget(state)
    data = link_data(state, task, own) if own else make_data(state, task)
    make_encoder(state)
    sys.stdout.flush()
    code = upsert(task, environment="local", debug=debug)
    if code:
        return code
    values = {**DEMOS[task].settings, **data}
    return start(
        task, environment="local", param=[*(f"{key}={value}" for key, value in values.items()), *(param or [])], debug=debug
    )


if __name__ == "__main__":
    run(demo)
