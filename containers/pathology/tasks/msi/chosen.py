"""The version that a batch asks: found in the registry, its artefact held against what was evaluated, how its features were made."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pathology.asked import Objects
from pathology.champion import APPROVED as APPROVED_STATUS
from pathology.champion import Champion, find_champion, find_version, stored
from pathology.contracts.artefact import CONFIG
from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.extraction.made_with import MADE_WITH, MadeWith
from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.hashes import sha256_of
from pathology.contracts.msi.batch import Chosen
from pathology.contracts.msi.comparison import COMPARABLE
from pathology.contracts.msi.prepare_slides import APPROVED, PrepareSlidesMsiJob
from pathology.contracts.settings import explain
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.rerun.version import fetch_model

PRECISIONS = ("float16", "float32", "bfloat16")


class _Config(BaseModel):
    """What of config.json is read here; every msi artefact of this format has it."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    settings_hash: str
    tiling: dict[str, str | int | float | bool]
    labels: tuple[str, str]
    threshold: float = Field(ge=0, le=1)


def choose(registry: Any, store: Store, settings: PrepareSlidesMsiJob) -> tuple[Chosen, list[str]]:
    """The version that ``settings`` name, and what is to be said of it.

    Raises:
        DataError: when there is none, its artefact or encoder is gone or another, or features would be made otherwise than its own.
        NotAnsweredError: when the registry or an object may not be read.
    """
    version = find_version(registry, settings.version) if settings.version != APPROVED else _approved(registry, settings.group)
    objects, warnings = Objects(store), []
    group = version.described.get("ModelPackageGroupName", "")
    if group != settings.group:
        raise DataError(f"{version.arn}: it is of the group {group}, and this pipeline asks versions of {settings.group}")
    if (status := version.described.get("ModelApprovalStatus", "")) != APPROVED_STATUS:
        warnings.append(f"{version.name} is {status} and not approved")
    try:
        before = stored(version, COMPARABLE, objects.read)
    except (DataError, RequestError) as error:
        before = None
        warnings.append(f"nothing proves that the artefact is the one that was evaluated ({error})")
    registered = version.registered(before)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        known, sha256 = fetch_model(registered, COMPARABLE.task, objects, scratch, scratch / "model")
        content = (scratch / "model" / CONFIG).read_bytes()
        archive_sha256 = registered.archive_sha256 or sha256_of(objects.fetch(registered.archive, scratch / "again.tar.gz"))
    try:
        config = _Config.model_validate_json(content)
    except ValidationError as error:
        raise DataError(explain(error, f"{registered.archive}: the artefact's {CONFIG}")) from None
    encoder = registered.encoder
    if encoder is None:
        raise DataError(f"{version.name} does not say where its encoder {known.encoder.name} lies: register it again")
    manifest = _manifest(store, encoder, version.name)
    if manifest.sha256 != known.encoder.sha256:
        raise DataError(
            f"{encoder}: holds {manifest.name} (sha256 {manifest.sha256[:12]}…), and {version.name} was trained on {known.encoder.name} "
            f"(sha256 {known.encoder.sha256[:12]}…): put that back"
        )
    tiling = made_with(store, settings, config.settings_hash, config.tiling, manifest)
    chosen = Chosen(
        name=version.name,
        arn=version.arn,
        status=status,
        group=group,
        archive_uri=str(registered.archive),
        archive_sha256=archive_sha256,
        archive_proven=bool(registered.archive_sha256),
        model_version=sha256[:12],
        encoder=manifest.name,
        encoder_sha256=manifest.sha256,
        encoder_uri=str(encoder),
        encoder_placeholder=manifest.placeholder,
        settings_hash=config.settings_hash,
        settings=tiling.as_strings(),
        labels=config.labels,
        threshold=config.threshold,
    )
    return chosen, warnings


def _approved(registry: Any, group: str) -> Champion:
    found = find_champion(registry, group)
    if found is None:
        raise DataError(
            f"{group} has no approved version: approve one (python -m pipelines.approve), or give ModelVersion an ARN"
        )
    return found


def _manifest(store: Store, encoder: Uri, name: str) -> EncoderManifest:
    try:
        content = store.read(encoder / MANIFEST)
    except DataError:
        raise DataError(f"{encoder}: the encoder of {name} is gone: copy it there") from None
    manifest: EncoderManifest = EncoderManifest.from_json(content, str(encoder / MANIFEST))
    return manifest


def made_with(
    store: Store,
    settings: PrepareSlidesMsiJob,
    settings_hash: str,
    known: Mapping[str, str | int | float | bool],
    encoder: EncoderManifest,
) -> Tiling:
    """The settings of extraction that ``settings_hash`` stands for: as collection noted them beside the features, else as the artefact
    and what is given say, of which the hash is the proof.

    Raises:
        DataError: when they cannot be told.
        RequestError: when ``settings`` give others, with both values.
    """
    given = {name: value for name in Tiling.model_fields if (value := getattr(settings, name)) is not None}
    tiling = next(
        (one for one in _candidates(store, settings, settings_hash, known, given) if _is(one, settings_hash, encoder)), None
    )
    if tiling is None:
        raise DataError(
            f"its features were made with the settings {settings_hash}, and neither {settings.features} nor the artefact says which "
            "those are: give prepare.hyperparameters the values of the training pipeline's extract.hyperparameters"
        )
    outer = {name: str(field.alias) for name, field in Tiling.model_fields.items()}
    different = [
        f"{outer[name]} is {value} here and {getattr(tiling, name)} of the model"
        for name, value in given.items()
        if value != getattr(tiling, name)
    ]
    if different:
        raise RequestError(f"{'; '.join(different)}: leave it out, features are made as the model's own were")
    return tiling


def _is(tiling: Tiling, settings_hash: str, encoder: EncoderManifest) -> bool:
    return tiling.hash(encoder.name, encoder.sha256) == settings_hash


def _candidates(
    store: Store,
    settings: PrepareSlidesMsiJob,
    settings_hash: str,
    known: Mapping[str, str | int | float | bool],
    given: Mapping[str, Any],
) -> Iterator[Tiling]:
    uri = Uri.parse(settings.features) / settings_hash / MADE_WITH
    if store.entry(uri) is not None:
        noted: MadeWith = MadeWith.from_json(store.read(uri), str(uri))
        yield Tiling.parse(dict(noted.settings), str(uri))
    of_artefact = {inner: known[name] for name, inner in (("tile_mpp", "mpp"), ("tile_size", "tile_size")) if name in known}
    for more, precision in itertools.product(({}, given), PRECISIONS):
        yield Tiling.parse({**of_artefact, "precision": precision, **more}, "prepare.hyperparameters")
