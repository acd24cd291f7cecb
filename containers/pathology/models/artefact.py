"""The msi model artefact: ``config.json``, ``fold-<k>.safetensors`` and ``code/`` that serves them; no pickle, all by hash."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pathology.contracts.code import Code
from pathology.contracts.errors import DataError
from pathology.contracts.features import Sha256
from pathology.contracts.settings import explain
from pathology.contracts.storage import write_whole
from pathology.models.attention_mil import GatedAttention

FORMAT_VERSION = 1
CONFIG = "config.json"
MAXIMUM_FILES = 500
MAXIMUM_BYTES = 4 * 2**30
MAXIMUM_RATIO = 200
"""Budgets for unpacking: an ensemble is some tens of MB in some dozen files, and float32 weights hardly compress."""

INFERENCE = '''"""What SageMaker's toolkit and any server call: the four functions that evaluation has proven."""

from pathology.models.serve_msi import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
'''


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EncoderIdentity(_Part):
    """The encoder that the model's features must come from."""

    name: str
    sha256: Sha256
    dimension: Annotated[int, Field(ge=1)]
    published: bool
    remark: str = ""


class FoldWeights(_Part):
    """One model of the ensemble: its file, the file's hash, and how it did on the patients it had not seen."""

    fold: int
    file: Annotated[str, Field(pattern=r"\Afold-[0-9]{1,3}\.safetensors\z")]
    sha256: Sha256
    epoch: int
    validation_loss: float


class OutOfFold(_Part):
    """How the cross-validation ended: patients, positives, AUROC with its interval; optimistic, as epochs were chosen on it."""

    patients: int
    positives: int
    auroc: float
    low: float
    high: float


class MsiConfig(_Part):
    """config.json. ``threshold`` is on the ensemble's mean probability; ``labels`` name class 0 and class 1."""

    format_version: Literal[1] = 1
    task: Literal["msi"] = "msi"
    labels: tuple[str, str]
    threshold: Annotated[float, Field(ge=0, le=1)]
    encoder: EncoderIdentity
    settings_hash: str
    tiling: dict[str, str | int | float | bool]
    hidden_size: Annotated[int, Field(ge=1)]
    folds: Annotated[tuple[FoldWeights, ...], Field(min_length=1)]
    out_of_fold: OutOfFold
    training: dict[str, str]
    inputs: dict[str, Sha256]
    serving_code: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Artefact:
    """A loaded ensemble; ``sha256`` is that of config.json, which holds the hashes of all weights."""

    config: MsiConfig
    models: tuple[GatedAttention, ...]
    sha256: str


def fold_file(fold: int, epoch: int, validation_loss: float, weights: Mapping[str, Tensor]) -> tuple[FoldWeights, bytes]:
    """A fold's entry in the configuration, and its file."""
    content = save({name: value.contiguous() for name, value in weights.items()})
    entry = FoldWeights(
        fold=fold,
        file=f"fold-{fold}.safetensors",
        sha256=hashlib.sha256(content).hexdigest(),
        epoch=epoch,
        validation_loss=validation_loss,
    )
    return entry, content


def save_artefact(folder: Path, config: MsiConfig, files: Mapping[str, bytes], code: Code) -> None:
    """Write weights, then the code, then config.json; the same content gives the same bytes."""
    for name, content in files.items():
        write_whole(folder / name, content)
    code.unpack(folder / "code")
    (folder / "code" / "inference.py").write_text(INFERENCE)
    write_whole(folder / CONFIG, (config.model_dump_json(indent=2) + "\n").encode())


def load_artefact(folder: Path) -> Artefact:
    """Load an ensemble from its folder; unpack a ``model.tar.gz`` with :func:`unpack` first.

    Raises:
        DataError: for a missing or newer configuration, or weights that are gone, changed or of another shape.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise DataError(f"the model artefact holds no {CONFIG}: train the model again, or give its model.tar.gz")
    content = path.read_bytes()
    config = _config(content, f"the model artefact's {CONFIG}")
    models = tuple(_model(folder, config, fold) for fold in config.folds)
    return Artefact(config, models, hashlib.sha256(content).hexdigest())


def _config(content: bytes, where: str) -> MsiConfig:
    try:
        version = json.loads(content)["format_version"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{where} is no model configuration: train the model again") from None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise DataError(f"{where} has format version {version} and this code reads {FORMAT_VERSION}: use newer code")
    try:
        return MsiConfig.model_validate_json(content)
    except ValidationError as error:
        raise DataError(explain(error, where)) from None


def _model(folder: Path, config: MsiConfig, fold: FoldWeights) -> GatedAttention:
    path = folder / fold.file
    if not path.is_file():
        raise DataError(f"the model artefact lacks {fold.file}: register a whole one")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != fold.sha256:
        raise DataError(f"{fold.file} is not the one that was trained (its sha256 is another): fetch the artefact again")
    model = GatedAttention(config.encoder.dimension, config.hidden_size, 0.0)
    try:
        model.load_state_dict(load(content), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"{fold.file} does not fit its configuration: {' '.join(str(error).split())[:300]}") from None
    return model.eval().requires_grad_(False)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ``model.tar.gz`` of ours into an empty folder.

    Raises:
        DataError: for anything but regular files and folders with plain relative names, or more of them than an ensemble has.
    """
    budget = min(MAXIMUM_BYTES, MAXIMUM_RATIO * archive.stat().st_size + 2**20)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for number, member in enumerate(tar):
                budget -= member.size
                _check_member(member, number, budget, archive)
                _extract(tar, member, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{archive.name} cannot be unpacked ({error}): fetch it again") from None


def _check_member(member: tarfile.TarInfo, number: int, budget: int, archive: Path) -> None:
    path = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()) or member.sparse:
        raise DataError(f"{archive.name}: {member.name!r} is a link or a device: a model holds only files and folders")
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise DataError(f"{archive.name}: {member.name!r} would lie outside the model's folder")
    if number >= MAXIMUM_FILES or budget < 0:
        raise DataError(f"{archive.name} unpacks to more than a model holds: it is refused")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder.joinpath(*PurePosixPath(member.name).parts)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    source = tar.extractfile(member)
    if source is None:
        raise DataError(f"{member.name!r} cannot be read from the archive: fetch it again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as file:
        while block := source.read(2**20):
            file.write(block)


def tiling_attributes(attributes: Mapping[str, Any], grid: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """What of a feature file's attributes says how tiles were cut: the same for every slide of one settings hash."""
    wanted = {
        "tile_mpp": attributes.get("tile_mpp"),
        "tile_size": grid.get("patch_size"),
        "arithmetic": attributes.get("arithmetic"),
    }
    return {name: value for name, value in wanted.items() if value is not None}
