"""``python -m pipelines.version --task msi 3``: all there is to know of a model version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pipelines.service.version import Details, Made, Version


def version(
    task: Task,
    given: Annotated[
        str,
        typer.Argument(
            metavar="[VERSION]", help="A version's number or ARN, latest, or approved: the latest that is.", show_default=False
        ),
    ] = "latest",
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Show all there is to know of a model version."""
    from pipelines.service.version import details
    from pipelines.service.versions import find
    from pipelines.tables import print_json

    session = enter(environment)
    found = details(session, find(session, task, given, kind))
    if json:
        print_json(found.as_json())
    else:
        _print(found)
    return 0


def _print(found: Details) -> None:
    from pipelines.scores import print_scores
    from pipelines.service.version import hashes
    from pipelines.tables import print_table, table

    item = found.version
    print(item.arn)
    for line in _lines(found):
        print(line)
    if item.evaluation is None:
        print(f"no scores: {item.trouble}")
    else:
        print("\nScores")
        print_scores(item.evaluation)
    settings = item.block.get("model", {}).get("training", {}).get("settings", {})
    if settings:
        print_table(table(("Setting", "Value"), list(settings.items()), title="\nHyperparameters"))
    print("\nHashes")
    for name, value in hashes(item).items():
        print(f"{name}: {value}")  # in one piece, to be copied


def _lines(found: Details) -> Iterator[str]:
    from pipelines.service.results import MODEL_VERSION
    from pipelines.tables import short_time
    from pipelines.version_tables import at, by

    item = found.version
    yield f"version {item.number}, {item.status}, registered {short_time(item.created)}"
    if description := item.described.get("ModelPackageDescription"):
        yield description
    if stage := item.stage:
        yield f"life cycle: {stage}"
    if decision := item.decision:
        yield f"{decision.status} by {by(decision)} {at(decision)}: {decision.note or 'no note'}"
        yield from (f"accepted all the same: {name}" for name in decision.accepted)
    yield from _said_of_itself(item)
    yield f"gate: {item.metadata.get('gate', 'not recorded')}"
    if answered := item.metadata.get(MODEL_VERSION):
        yield f"model version: {answered}, as an endpoint of it answers"
    if encoder := item.metadata.get("encoder"):
        yield f"encoder: {encoder}, {item.metadata.get('encoder_origin', 'origin not recorded')}, {item.metadata.get('encoder_uri', '')}"
    yield learned_from(item)
    yield drift_baseline(item)
    yield f"registered by execution: {item.registered_by or 'not recorded'}"
    yield f"trained by {_made(item.trained, item.artefact)}"
    yield f"evaluated by {_made(item.evaluated, item.evaluation_uri)}"
    yield f"artefact: {item.artefact or 'none'}"
    yield f"report: {found.report or 'none'}"
    if found.deployed is None:
        yield f"deployed: not known ({found.not_told})"
    else:
        yield f"deployed: {', '.join(f'{name} ({status})' for name, status in found.deployed.items()) or 'nowhere'}"


def _said_of_itself(item: Version) -> Iterator[str]:
    """What it is the same as, its card and source, and what of them the registry would not take."""
    from pathology.contracts.description.writing import WARNINGS

    lacks = "none; python -m pipelines.approve writes it"
    if item.same_as is not None:
        yield f"the same as version {item.same_as}: the same evaluation of the same artefact"
    yield f"model card: {item.card or lacks}"
    yield f"source: {item.described.get('SourceUri') or lacks}"
    if refused := item.metadata.get(WARNINGS):
        yield f"warning: the registry did not take all of its description: {refused}"


def learned_from(item: Version) -> str:
    """A line on what it was trained on."""
    facts = item.learned_from
    table = f"table {facts['table'][:12]}…" if facts["table"] else "a table that is not recorded"
    n = "an unknown number of" if facts["n"] is None else f"{facts['n']:,}"
    positives = "" if facts["positives"] is None else f", {facts['positives']:,} of them positive"
    return f"trained on {n} {facts['unit'] or 'items'}{positives}, of {table}"


def drift_baseline(item: Version) -> str:
    """A line on the statistics of what it was trained on: of how many items, and where they lie."""
    from pathology.contracts.drift import NO_BASELINE

    if item.metadata.get("drift_baseline_sha256", NO_BASELINE) == NO_BASELINE:
        return "drift baseline: none, as of versions of before; train again to have one"
    facts = item.block.get("model", {}).get("drift_baseline")
    where = item.metadata.get("drift_baseline", "its place is not recorded")
    if not facts:
        return f"drift baseline: {where}"
    taken = f"{facts['taken']:,} of {facts['items']:,} {facts['unit']}"
    unknown = f", colours unknown of {facts['colours_unknown']:,} {facts['colours_unit']}" if facts["colours_unknown"] else ""
    return f"drift baseline: {taken}{unknown}, {where}"


def _made(made: Made | None, uri: str | None) -> str:
    if made is None:
        return f"no execution that its place names ({uri or 'none'})"
    job = f", job {made.job}" if made.job else ""
    return f"execution {made.execution} of {made.pipeline}, step {made.step}{job}"


if __name__ == "__main__":
    run(version)
