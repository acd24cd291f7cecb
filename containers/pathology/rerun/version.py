"""A model version's answers to a candidate's test, by the version's own artefact: as if its evaluation had been on that test."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pathology.asked import Objects
from pathology.contracts.artefact import CONFIG
from pathology.contracts.comparison.reading import Comparable, Fields, StoredBlock, StoredEvaluation, StoredModel, other_classes
from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Seen
from pathology.contracts.hashes import sha256_of
from pathology.contracts.settings import explain
from pathology.contracts.uris import Uri
from pathology.learned_from import read_learned_from
from pathology.rerun.asking import Asking, TestItems
from pathology.rerun.process import Answering
from pathology.unpacking import unpack


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What the registry says of a version: its ``name`` in messages, its ``archive``, the folder of its ``encoder`` (None where it names
    none), and which model it is and the archive's sha256 (empty where that is not said)."""

    name: str
    archive: Uri
    encoder: Uri | None
    model_version: str
    archive_sha256: str


class _Part(BaseModel):
    """Configurations of before and after may have other members besides."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class TrainedOn(_Part):
    """The encoder that config.json names."""

    name: str
    sha256: str


class StoredConfig(_Part):
    """What of config.json every format version has."""

    task: str
    encoder: TrainedOn
    learned_from: str | None = None
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    threshold: float | None = Field(default=None, ge=0, le=1)


def ask_again(
    version: Registered, candidate: StoredEvaluation, task: Comparable, asking: Asking, objects: Objects, limit_seconds: float
) -> StoredEvaluation:
    """The version's answers to the candidate's test items.

    Raises:
        DataError: when artefact, encoder or items are gone, damaged or do not belong together, or the process fails.
        NotAnsweredError: when they may not be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return _ask(version, candidate, task, asking, objects, limit_seconds, Path(scratch))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(
                f"the disk is full, running {version.name}'s artefact: give compare.resources more volume-gb"
            ) from None


def _ask(
    version: Registered,
    candidate: StoredEvaluation,
    task: Comparable,
    asking: Asking,
    objects: Objects,
    limit_seconds: float,
    scratch: Path,
) -> StoredEvaluation:
    model = scratch / "model"
    config, sha256 = fetch_model(version, task.task, objects, scratch, model)
    block = _block(version, config, sha256, candidate)
    again = StoredEvaluation(name=version.name, block=block, rows=[], sha256=sha256)
    if reason := other_classes(candidate, again):
        raise DataError(reason)
    learned_from = read_learned_from(model, config)
    encoder = _fetch_encoder(version, config, objects, scratch) if asking.encoder else None
    test = asking.read(candidate, objects, scratch)
    uris = scratch / "uris"
    with Answering(
        version.name,
        model,
        accept=asking.accept,
        together=asking.together > 0,
        uris=uris,
        encoder=encoder,
        limit_seconds=limit_seconds,
    ) as process:
        process.ready()
        rows = _answers(process, test, asking.together or 1, uris, version.name)
    names = None if learned_from is None else learned_from.seen(test.items)
    seen = Seen(
        unit=block.seen.unit, test_items=len(test.items), seen=None if names is None else len(names), names=sorted(names or [])
    )
    return StoredEvaluation(name=version.name, block=block.model_copy(update={"seen": seen}), rows=rows, sha256=sha256)


def _answers(process: Answering, test: TestItems, together: int, uris: Path, name: str) -> list[Fields]:
    """Rows of predictions.csv, so many items ``together`` at a time."""
    rows: list[Fields] = []
    for start in range(0, len(test.items), together):
        batch = range(start, min(start + together, len(test.items)))
        answers = process.ask([test.question(index, uris) for index in batch])
        for index, answer in zip(batch, answers, strict=True):
            try:
                rows += test.rows(index, answer)
            except (ValueError, KeyError, TypeError) as error:
                item = test.items[index].name
                raise DataError(f"{name}'s artefact answers {item} in a form that this code does not read ({error!r})") from None
    return rows


def fetch_model(version: Registered, task: str, objects: Objects, scratch: Path, folder: Path) -> tuple[StoredConfig, str]:
    """The artefact unpacked to ``folder``; its configuration and that one's sha256.

    Raises:
        DataError: when it is gone, damaged, another than was evaluated, or of another task or model.
    """
    archive = objects.fetch(version.archive, scratch / "model.tar.gz")
    if version.archive_sha256 not in ("", sha256_of(archive)):
        raise DataError(f"{version.archive}: the artefact is another than was evaluated, or damaged (its sha256 differs)")
    try:
        unpack(archive, folder)
        content = (folder / CONFIG).read_bytes()
        config = StoredConfig.model_validate_json(content)
    except FileNotFoundError:
        raise DataError(f"{version.archive}: the artefact is damaged (it holds no {CONFIG})") from None
    except ValidationError as error:
        raise DataError(explain(error, f"{version.archive}: the artefact's {CONFIG}")) from None
    except DataError as error:
        raise DataError(f"{version.archive}: the artefact is damaged ({error})") from None
    archive.unlink()
    sha256 = hashlib.sha256(content).hexdigest()
    if config.task != task:
        raise DataError(f"{version.archive}: the artefact is of the task {config.task}, not {task}")
    if version.model_version not in ("", sha256[:12]):
        raise DataError(f"{version.archive}: is the model {sha256[:12]}, and {version.name} is {version.model_version}")
    if not (folder / "code" / "inference.py").is_file():
        raise DataError(f"{version.archive}: the artefact holds no code to run it by")
    return config, sha256


def _fetch_encoder(version: Registered, config: StoredConfig, objects: Objects, scratch: Path) -> Path:
    """The folder with the encoder that the model was trained on; its checkpoint is proven by the code that loads it."""
    if version.encoder is None:
        raise DataError(f"{version.name} does not say where its encoder {config.encoder.name} lies")
    entries = [entry.uri for entry in objects.list(version.encoder)]
    tops = {version.encoder, *(version.encoder / uri.parent.name for uri in entries if uri.parent.parent == version.encoder)}
    manifests = [uri for uri in entries if uri.name == MANIFEST and uri.parent in tops]
    if not manifests:
        raise DataError(f"{version.encoder}: the encoder {config.encoder.name} of {version.name} is gone")
    for uri in manifests:
        manifest = EncoderManifest.from_json(objects.read(uri), str(uri))
        if manifest.sha256 == config.encoder.sha256:
            folder = scratch / "encoder"
            for file in (each for each in entries if each.parent == uri.parent):
                objects.fetch(file, folder / file.name)
            return folder
    raise DataError(
        f"{version.encoder}: holds another encoder by now than {config.encoder.name} (sha256 {config.encoder.sha256[:12]}…), which "
        f"{version.name} was trained on"
    )


def _block(version: Registered, config: StoredConfig, sha256: str, candidate: StoredEvaluation) -> StoredBlock:
    """As an evaluation on the candidate's test would have it, but for what was seen."""
    ours = candidate.block
    model = StoredModel(
        version=sha256[:12],
        config_sha256=sha256,
        archive_uri=str(version.archive),
        labels=config.labels,
        classes=config.classes,
    )
    return ours.model_copy(update={"intervals": {}, "model": model, "threshold": config.threshold})
