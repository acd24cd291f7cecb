"""The frame of every evaluate command: the packaged model loaded as it serves, its identity, the three files that come of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from pathology.artefact import LoadedModel, ModelConfig
from pathology.contracts.artefact import DRIFT_BASELINE
from pathology.contracts.code import closure
from pathology.contracts.drift import DriftBaseline
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import (
    DriftReport,
    EvaluationBlock,
    EvaluationSettings,
    Resampling,
    Seen,
    TrainingReport,
)
from pathology.contracts.hashes import sha256_of
from pathology.contracts.learned_from import Item, LearnedFrom
from pathology.contracts.registry import registry_text
from pathology.contracts.runs import RunOutput
from pathology.contracts.storage import atomic_write
from pathology.drift import read_drift_baseline
from pathology.job import Job
from pathology.learned_from import read_learned_from
from pathology.report.warnings import named, other_code, permuted_labels, placeholder_encoder, seen_items, unverified_encoder
from pathology.training.baseline import FittedBaseline, read_baseline
from pathology.unpacking import unpack

MAX_NAMED = 5
"""Test items that a model has seen, before they are only counted."""


class Evaluation(Protocol):
    """evaluation.json of any task."""

    @property
    def pathology(self) -> EvaluationBlock: ...
    def to_json(self) -> bytes: ...


def load_packaged(job: Job, serving: ModuleType, *encoder: Path) -> tuple[Any, LearnedFrom | None, FittedBaseline | None]:
    """The model in the job's input ``model``, loaded by its task's ``serving`` module as an endpoint loads it; what it learnt from,
    and the baseline that was fitted beside it, where its artefact has them. The statistics of what it learnt from are copied to the
    output ``evaluation``.

    Raises:
        DataError: when the archive or the encoder is not whole, or they do not belong together.
    """
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        unpack(job.file("model", ".tar.gz"), Path(folder))
        model = serving.model_fn(folder, *encoder)
        _copy_drift_baseline(job, Path(folder), model.config)
        return model, read_learned_from(Path(folder), model.config), read_baseline(Path(folder), model.config)


def _copy_drift_baseline(job: Job, folder: Path, config: ModelConfig) -> None:
    path = job.output("evaluation") / DRIFT_BASELINE
    found = read_drift_baseline(folder, config)
    if found is None:
        path.unlink(missing_ok=True)  # another model's, where the output was used before
        print(f"the model artefact keeps no {DRIFT_BASELINE}, as those of before: train again to have one")
        return
    atomic_write(path, found[1])


def _drift(job: Job, config: ModelConfig) -> DriftReport | None:
    if config.drift_baseline is None:
        return None
    path = job.output("evaluation") / DRIFT_BASELINE
    copied = DriftBaseline.from_json(path.read_bytes(), str(path))
    colours = copied.colours
    return DriftReport(
        sha256=config.drift_baseline,
        unit=copied.unit,
        items=copied.items,
        taken=copied.taken,
        colours_unit=colours.unit,
        colours=colours.reference.n if colours.reference else 0,
        colours_unknown=colours.unknown,
    )


def check_seen(learned_from: LearnedFrom | None, items: Iterable[Item], unit: str, settings: EvaluationSettings) -> Seen:
    """How many of the test ``items``, counted in ``unit``, the model has learnt from; asked before they are predicted.

    Raises:
        DataError: when there are any, unless ``settings`` allow them.
    """
    items = list(items)
    names = None if learned_from is None else learned_from.seen(items)
    seen = Seen(
        unit=unit,
        test_items=len(items),
        seen=None if names is None else len(names),
        names=sorted(names or [])[:MAX_NAMED],
    )
    if seen.seen and not settings.allow_seen:
        raise DataError(
            f"the model has learnt from {seen.seen:,} of the {len(items):,} test {unit} ({named(seen)}): evaluate it on others, or set "
            "'allow-seen' to true (parameter AllowSeen) to have a number all the same, and a warning"
        )
    return seen


def identity(job: Job, model: LoadedModel[Any], serving: ModuleType) -> dict[str, Any]:
    """The fields of :class:`pathology.contracts.evaluation.ModelIdentity`."""
    archive, config = job.file("model", ".tar.gz"), model.config
    return {
        "archive_uri": location(job, "model", archive),
        "archive_sha256": sha256_of(archive),
        "config_sha256": model.sha256,
        "version": model.version,
        "serving_code": config.serving_code,
        "evaluated_with_code": closure(serving.__name__).hash,
        "training": TrainingReport(
            code=config.training_code,
            settings=config.training,
            inputs=config.inputs,
            libraries=config.versions,
            curves=list(config.curves),
        ),
        "drift_baseline": _drift(job, config),
    }


def location(job: Job, name: str, path: Path) -> str:
    """The URI of the job's input ``name``, or of a file of it: the input is that file, or a folder that it is in."""
    uri, below = job.input_uri(name), path.relative_to(job.input(name)).as_posix()
    return str(uri if below in (".", uri.name) else uri / below)


def origin(job: Job, **files: tuple[str, Path]) -> dict[str, Any]:
    """The fields of :class:`pathology.contracts.evaluation.EvaluationBlock` that say where numbers come from.

    ``files`` are the input and the path of what was read, by name.
    """
    return {
        "computed_by": RunOutput.of(job.output_uri("evaluation")),
        "data_uris": {name: location(job, *file) for name, file in files.items()},
    }


def binary_labels(labels: tuple[str, str]) -> str:
    """A version's ``labels`` of a binary model: the positive one, then the negative one."""
    return registry_text(f"{labels[1]}:{labels[0]}")


def resampling(settings: Resampling) -> dict[str, Any]:
    """The settings' number of draws, level and seed, under the names that scores and evaluation.json have."""
    return settings.model_dump(include=set(Resampling.model_fields))


def all_warnings(model: LoadedModel[Any], serving: ModuleType, seen: Seen, task_warnings: Iterable[str], about: str) -> list[str]:
    """What a reader must know first: of what the model has ``seen``, of encoder and labels, then ``task_warnings``, and of the code."""
    config = model.config
    return [
        *seen_items(seen),
        *placeholder_encoder(config.encoder, about),
        *unverified_encoder(config.encoder),
        *permuted_labels(config.training),
        *task_warnings,
        *other_code(closure(serving.__name__).hash, config.serving_code),
    ]


def write_evaluation(job: Job, evaluation: Evaluation, predictions: bytes, report: str) -> None:
    """Write predictions.csv, report.html and last evaluation.json to the output ``evaluation``; print the warnings."""
    output = job.output("evaluation")
    atomic_write(output / "predictions.csv", predictions)
    atomic_write(output / "report.html", report.encode())
    atomic_write(output / "evaluation.json", evaluation.to_json())
    seen = evaluation.pathology.seen
    print(f"seen in training: {'unknown' if seen.seen is None else seen.seen} of {seen.test_items} test {seen.unit}")
    for warning in evaluation.pathology.warnings:
        print(f"warning: {warning}")
