"""Step caching by the attributes that the service documents, and by nothing else."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TypedDict

from pathology.contracts.storage import Entry
from pathology.contracts.uris import Uri

from pipelines.checks.caching import KEY_ATTRIBUTES, duration
from pipelines.local.damage import CACHED, DamagedError
from pipelines.local.job_records import described_job
from pipelines.local.state import State, now, read_json, write_json
from steps.shapes import Answer, Caching, Request


class Hit(TypedDict):
    """A success that answers for a step: the ARN of the execution that had it, and what Describe answers of its job."""

    execution: str
    job: Answer


def cache_key(pipeline: str, step: str, kind: str, request: Request) -> str:
    """The hash of a step's resolved key attributes."""
    attributes = {name: request.get(name) for name in KEY_ATTRIBUTES[kind]}
    text = json.dumps([pipeline, step, kind, attributes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def find_cached(state: State, config: Caching, key: str) -> Hit | None:
    """The last success with this key, while it is young and every object that it left is still there. A damaged record is none,
    and is written again when the step has run."""
    if not config.get("Enabled"):
        return None
    try:
        return _young(state, config, key)
    except DamagedError as error:
        print(f"{error.path}: {error.what}: no answer from the cache, the step runs", flush=True)
        return None


def _young(state: State, config: Caching, key: str) -> Hit | None:
    hit = read_json(state.cached(key), CACHED)
    if hit is None:
        return None
    age = datetime.now(UTC) - datetime.fromisoformat(hit["at"])
    if "ExpireAfter" in config and age > duration(config["ExpireAfter"]):
        return None
    job = described_job(state, hit["name"])
    if job is None or any(state.store.entry(Uri.parse(uri)) is None for uri in _listed(state, key, hit["objects"])):
        return None
    return {"execution": hit["execution"], "job": job}


def _listed(state: State, key: str, objects: list[str]) -> list[str]:
    if all(isinstance(uri, str) and uri.startswith(("s3://", "efs://")) for uri in objects):
        return objects
    raise DamagedError(state.cached(key), "lists objects that are no URIs")


def remember(state: State, key: str, execution: str, job: Answer, pipeline: str, step: str) -> None:
    """Keep a success for later executions, with the objects that it left; pipeline and step are for whoever reads the file."""
    name = job.get("ProcessingJobName") or job["TrainingJobName"]
    objects = sorted(str(entry.uri) for uri in _outputs(job) for entry in _objects(state, uri))
    record = {"pipeline": pipeline, "step": step, "execution": execution, "name": name, "at": now(), "objects": objects}
    write_json(state.cached(key), record)


def _outputs(job: Answer) -> list[str]:
    uris = [output["S3Output"]["S3Uri"] for output in job.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    model = job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    return [*uris, model] if model else uris


def _objects(state: State, text: str) -> list[Entry]:
    uri = Uri.parse(text)
    entry = state.store.entry(uri)
    return [entry] if entry else list(state.store.list(uri))
