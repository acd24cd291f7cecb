"""What every model artefact shares: ``config.json``, safetensors by hash, ``code/`` that serves them; no pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Generic, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pathology.contracts.artefact import CONFIG, ENCODER_VARIABLE
from pathology.contracts.code import Code
from pathology.contracts.encoder import EncoderManifest, NamedEncoder
from pathology.contracts.errors import DataError
from pathology.contracts.hashes import Sha256, sha256_of
from pathology.contracts.history import LossCurve
from pathology.contracts.operating_points import OperatingPoint
from pathology.contracts.settings import explain
from pathology.contracts.storage import atomic_write
from pathology.job import OPT_ML, ROOT_VARIABLE

FORMAT_VERSION = 2
"""1 had other names in config.json and, for msi, in the weights."""
ADDITIONAL_MODEL = "additional-model-data-sources/encoder"
"""Below /opt/ml: where an endpoint finds the encoder that the model version names."""

INFERENCE = '''"""What SageMaker's toolkit and any server call: the four functions that evaluation has proven."""

from {module} import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
'''


class Part(BaseModel):
    """Base of the parts of config.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EncoderIdentity(NamedEncoder):
    """The encoder that the model was trained on."""

    dimension: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, manifest: EncoderManifest) -> Self:
        """What a manifest says of it."""
        return cls(**manifest.model_dump(include=set(cls.model_fields)))


class Weights(Part):
    """A safetensors file of the artefact and its hash."""

    file: Annotated[str, Field(pattern=r"\A[a-z][a-z0-9-]{0,63}\.safetensors\z")]
    sha256: Sha256


class BaselineWeights(Weights):
    """The simple model that evaluations set beside this one, which nothing serves: a linear map of ``features`` numbers of one ``kind``.

    It was fitted on so many ``items``, ``positives`` of them of class 1; ``threshold`` is on its own probability.
    """

    kind: str
    features: Annotated[int, Field(ge=1)]
    inverse_penalty: Annotated[float, Field(gt=0)]
    threshold: Annotated[float, Field(ge=0, le=1)]
    items: int
    positives: int


class ModelConfig(Part):
    """config.json of any model: the encoder, the settings it was ``training`` with, the sha256 of its ``inputs`` by name.

    ``serving_code`` is the hash of the code that serves it, ``versions`` those of the libraries that trained it. ``learned_from`` is
    the sha256 of learned-from.json, which serving does not read; None in artefacts of before there was one. ``training_code`` is the
    hash of the job's code that trained it, ``curves`` its losses by epoch; models of before they were kept have neither. So it is with
    ``baseline``, and with ``drift_baseline``, the sha256 of drift-baseline.json, which serving does not read.
    """

    format_version: Literal[2] = 2
    encoder: EncoderIdentity
    training: dict[str, str]
    inputs: dict[str, Sha256]
    learned_from: Sha256 | None = None
    drift_baseline: Sha256 | None = None
    serving_code: str
    versions: dict[str, str]
    training_code: str | None = None
    curves: tuple[LossCurve, ...] = ()
    baseline: BaselineWeights | None = None


class BinaryConfig(ModelConfig):
    """config.json of a binary classifier: ``labels`` name class 0 and class 1, ``threshold`` is on the probability of class 1.

    It is the threshold of the operating point that decides; ``operating_points`` are empty in artefacts of before they were kept.
    """

    labels: tuple[str, str]
    threshold: Annotated[float, Field(ge=0, le=1)]
    operating_points: tuple[OperatingPoint, ...] = ()


C = TypeVar("C", bound=ModelConfig)


@dataclass(frozen=True)
class LoadedModel(Generic[C]):
    """A model that can answer; ``sha256`` is that of config.json, which holds the hashes of all weights and of the encoder."""

    config: C
    sha256: str

    @property
    def version(self) -> str:
        """12 hexadecimal digits that name the model: in an endpoint's answers, evaluation.json and the registered version."""
        return self.sha256[:12]


def library_versions(*names: str) -> dict[str, str]:
    """The installed versions of libraries, by name."""
    return {name: version(name) for name in names}


def pack_tensors(tensors: Mapping[str, Tensor]) -> tuple[str, bytes]:
    """The sha256 and the bytes of a safetensors file."""
    content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    return hashlib.sha256(content).hexdigest(), content


def save_artefact(folder: Path, config: Part, files: Mapping[str, bytes], code: Code, module: str) -> None:
    """Write weights, then the code with ``module``'s functions as its entry, then config.json; same content, same bytes."""
    for name, content in files.items():
        atomic_write(folder / name, content)
    code.unpack(folder / "code")
    atomic_write(folder / "code" / "inference.py", INFERENCE.format(module=module).encode())
    atomic_write(folder / CONFIG, (config.model_dump_json(indent=2) + "\n").encode())


def read_config(folder: Path, kind: type[C]) -> tuple[C, str]:
    """config.json of an unpacked artefact, and its sha256, which stands for all that it names by hash.

    Raises:
        DataError: when it is missing, of another version, or not of this ``kind``.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise DataError(f"the model artefact holds no {CONFIG}: train the model again, or give its model.tar.gz")
    content = path.read_bytes()
    where = f"the model artefact's {CONFIG}"
    try:
        number = json.loads(content)["format_version"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{where} is not a model configuration: train the model again") from None
    if isinstance(number, int) and number != FORMAT_VERSION:
        remedy = "use newer code" if number > FORMAT_VERSION else "train the model again, or use the code that is packed with it"
        raise DataError(f"{where} has format version {number} and this code reads {FORMAT_VERSION}: {remedy}")
    try:
        return kind.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except ValidationError as error:
        raise DataError(explain(error, where)) from None


def read_tensors(folder: Path, file: str, sha256: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file that has the hash the configuration says.

    Raises:
        DataError: naming the file that is gone, changed or not safetensors.
    """
    path = folder / file
    if not path.is_file():
        raise DataError(f"the model artefact lacks {file}: register a whole one")
    if sha256_of(path) != sha256:
        raise DataError(f"{file} is not the one that was trained (its sha256 is another): fetch the artefact again")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise misfit(file, error) from None
    return tensors


def encoder_folder(given: str | Path | None = None) -> Path:
    """Where a model's encoder lies: as ``given``, else as the environment says, else where the endpoint puts it."""
    root = Path(os.environ.get(ROOT_VARIABLE, OPT_ML))
    return Path(given if given is not None else os.environ.get(ENCODER_VARIABLE) or root / ADDITIONAL_MODEL)


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Hold tensors read from ``where`` against the names and shapes that a model has.

    Raises:
        DataError: naming the tensor that is missing, surplus, of another shape or not finite.
    """
    if odd := sorted(shapes.keys() ^ tensors.keys()):
        raise DataError(f"{where}: it {'lacks' if odd[0] in shapes else 'has besides'} {odd[0]!r}: fetch the artefact again")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise DataError(f"{where}: {name!r} has the shape {tuple(tensors[name].shape)}, not {shape}: it is another model's")
        if not bool(torch.isfinite(tensors[name]).all()):
            raise DataError(f"{where}: {name!r} holds a value that is not a number: train the model again")


def check_encoder(trained_on: EncoderIdentity, trained_with: Mapping[str, object], manifest: EncoderManifest) -> None:
    """Hold an encoder's manifest against the one a model was trained on, and what it says of its input against ``trained_with``.

    Raises:
        DataError: naming what differs.
    """
    if manifest.sha256 != trained_on.sha256:
        raise DataError(
            f"the model was trained on encoder {trained_on.name} (sha256 {trained_on.sha256[:12]}…) and was given "
            f"{manifest.name} (sha256 {manifest.sha256[:12]}…): give it the one it was trained on"
        )
    for name, value in trained_with.items():
        if getattr(manifest, name) != value:
            difference = f"{getattr(manifest, name)} and the model was trained with {value}"
            raise DataError(
                f"encoder {manifest.name}: its manifest says {name} {difference}: take the manifest it was trained with"
            )


def misfit(file: str, error: Exception) -> DataError:
    """The one line for weights that do not fit what config.json says of them."""
    return DataError(f"{file} does not fit its configuration: {' '.join(str(error).split())[:300]}")
