"""What a task reads and writes: its encoder, its data set, its model package group."""

from __future__ import annotations

from botocore.exceptions import ClientError
from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.refusals import is_missing
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri

from pipelines.service.errors import explain
from pipelines.service.health.lines import Lines, ok, problem, unknown, verdict
from pipelines.service.health.subject import Subject

_REMEDY = (
    "infra/datasets/download_h_optimus_0.sh writes it with the weights, python -m pathology.encoders.describe FOLDER --as NAME for an "
    "encoder of your own"
)


def encoders(subject: Subject) -> Lines:
    """The folder holds encoder.json and the checkpoint that it names."""
    for weights in sorted({task.encoder.weights for task in subject.tasks.values()}):
        folder = Uri.parse(weights)
        try:
            yield from _encoder(subject.store, folder)
        except ClientError as error:
            yield unknown("encoder", f"{folder}: {explain(error)}")


def _encoder(store: Store, folder: Uri) -> Lines:
    if folder.scheme != "s3":
        yield unknown("encoder", f"{folder} cannot be seen from here")
        return
    uri = folder / MANIFEST
    if store.entry(uri) is None:
        yield problem("encoder", f"{uri} is not there: {_REMEDY}")
        return
    try:
        manifest = EncoderManifest.from_json(store.read(uri), str(uri))
    except DataError as error:
        yield problem("encoder", f"{error}: write it again: {_REMEDY}")
        return
    checkpoint = store.entry(folder / manifest.checkpoint)
    wrong = []
    if checkpoint is None:
        wrong.append(f"{folder / manifest.checkpoint} is not there, and encoder.json names it: upload it")
    elif checkpoint.bytes == 0:
        wrong.append(f"{folder / manifest.checkpoint} is empty: upload it again")
    size = f", {checkpoint.bytes / 1e9:.2g} GB" if checkpoint else ""
    yield from verdict("encoder", wrong, f"{manifest.name} ({manifest.origin}) in {folder}{size}")


def datasets(subject: Subject) -> Lines:
    """Something lies at each URI of the data set."""
    for name, task in subject.tasks.items():
        for key, text in task.data():
            if key.partition(".")[0] == "encoder":
                continue
            check, uri = f"{name} {key.rpartition('.')[2]}", Uri.parse(text)
            try:
                yield from _data(subject, check, name, uri)
            except ClientError as error:
                yield unknown(check, f"{uri}: {explain(error)}")


def _data(subject: Subject, check: str, task: str, uri: Uri) -> Lines:
    if uri.scheme != "s3":
        yield unknown(check, f"{uri} cannot be seen from here: look in the notebook")
        return
    there = subject.store.entry(uri) is not None or next(iter(subject.store.list(uri)), None) is not None
    remedy = f"upload it (infra/datasets/), or correct pipeline_definitions/{task}.yaml"
    if subject.environment.local:
        remedy = f"put it back, or give other data: make demo TASK={task}"
    wrong = [f"nothing lies at {uri}: {remedy}"]
    yield from verdict(check, [] if there else wrong, str(uri))


def groups(subject: Subject) -> Lines:
    """The model package group is usable; one that is not there yet is made by upsert."""
    for name, task in subject.tasks.items():
        check, group = f"{name} versions", task.register_as.group
        try:
            description = subject.clients["sagemaker"].describe_model_package_group(ModelPackageGroupName=group)
        except ClientError as error:
            if not is_missing(error):
                yield unknown(check, explain(error))
            else:
                yield ok(check, f"no group {group} yet: upsert makes it")
            continue
        status = description["ModelPackageGroupStatus"]
        wrong = [f"group {group} is {status}: delete it, upsert recreates it"] if status in ("Failed", "DeleteFailed") else []
        yield from verdict(check, wrong, f"group {group}")
