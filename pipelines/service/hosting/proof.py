"""Whether a version may be deployed at all: approved, on this kind of host, its artefact and its encoder those that were evaluated."""

from __future__ import annotations

import hashlib

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.uris import Uri

from pipelines.service.decisions import APPROVED
from pipelines.service.hosting.plan import encoder_uri
from pipelines.service.session import Session
from pipelines.service.version import Version
from pipelines.tasks import task_spec
from pipelines.tasks.sections import Task


def check_approved(version: Version, task: str, allow_unapproved: bool) -> bool:
    """Whether the version is used although nobody approved it, which was allowed.

    Raises:
        RequestError: when that was not allowed.
    """
    if version.status == APPROVED:
        return False
    if not allow_unapproved:
        raise RequestError(
            f"version {version.number} is {version.status}: review it (python -m pipelines.version --task {task} {version.number}) and "
            f"approve it, or say --allow-unapproved, which the endpoint's tags keep"
        )
    return True


def check_instance_type(version: Version, settings: Task) -> None:
    """Hold the endpoint's hosts against those that the version may be deployed on.

    Raises:
        RequestError: naming both.
    """
    chosen = settings.endpoint_instance_type
    allowed = version.described.get("InferenceSpecification", {}).get("SupportedRealtimeInferenceInstanceTypes") or []
    if chosen not in allowed:
        words = f"may be deployed on {', '.join(allowed)}" if allowed else "was registered for no endpoint"
        raise RequestError(
            f"version {version.number} {words}, and the YAML's endpoint has {chosen}: change endpoint.instance-type"
        )


def check_artefact(session: Session, version: Version) -> None:
    """Hold the archive's bytes against the sha256 that its evaluation proved.

    Raises:
        RequestError: when it is gone or another, or when nobody wrote down which it was.
    """
    expected = version.block.get("model", {}).get("archive_sha256")
    if not expected:
        why = version.trouble or "its evaluation is of before the archive's sha256 was kept"
        raise RequestError(f"version {version.number}: what its artefact was is not known ({why}): register it again")
    uri = Uri.parse(str(version.artefact))
    try:
        with session.store.open(uri) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(file, "readinto") else _digest(file)
    except DataError as error:
        raise RequestError(f"version {version.number}: its artefact is gone ({error})") from None
    if found != expected:
        raise RequestError(
            f"version {version.number}: its artefact {uri} is not the one that was evaluated and registered (sha256 {found[:12]}… in "
            f"place of {expected[:12]}…): put that back, or register a whole one"
        )


def _digest(file: object) -> str:
    digest = hashlib.sha256()
    while piece := file.read(2**20):  # type: ignore[attr-defined]
        digest.update(piece)
    return digest.hexdigest()


def check_encoder(session: Session, task: str, version: Version) -> None:
    """Hold the manifest in the encoder's folder against the version, where the endpoint runs the encoder; and its checkpoint is there.

    The checkpoint's own bytes are hashed by the endpoint when it starts.

    Raises:
        RequestError: when it is gone, damaged, or another encoder's.
    """
    if not task_spec(task).hosted.encoder:
        return
    folder = Uri.parse(encoder_uri(version).rstrip("/"))
    try:
        manifest = EncoderManifest.from_json(session.store.read(folder / MANIFEST), str(folder / MANIFEST))
    except DataError as error:
        raise RequestError(f"version {version.number}: its encoder cannot be read ({error})") from None
    expected = version.metadata.get("encoder_sha256")
    if manifest.sha256 != expected:
        raise RequestError(
            f"version {version.number} was trained on encoder sha256 {str(expected)[:12]}…, and {folder} now holds "
            f"{manifest.sha256[:12]}…: put the encoder back that it names"
        )
    if session.store.entry(folder / manifest.checkpoint) is None:
        raise RequestError(f"version {version.number}: {folder / manifest.checkpoint} is gone: put it back")
