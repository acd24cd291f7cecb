"""``python -m pipelines.deploy --task msi``: make an endpoint of an approved model version, or bring one to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EndpointName, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pipelines.service.hosting.deploying import Deployed
    from pipelines.service.hosting.first_request import FirstRequest
    from pipelines.service.hosting.plan import Plan
    from pipelines.service.session import Session


def deploy(
    task: Task,
    version: Annotated[
        str, typer.Option("--version", help="A version's number or ARN, latest, or approved: the latest that is.")
    ] = "approved",
    name: EndpointName = None,
    sample: Annotated[
        Path | None,
        typer.Option("--sample", help="What to ask first; a test item of the version when left out.", show_default=False),
    ] = None,
    allow_unapproved: Annotated[
        bool, typer.Option("--allow-unapproved", help="Deploy a version that nobody approved; the endpoint's tags keep it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the requests, and change nothing.")] = False,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Make an endpoint of a model version, or update it without a gap. Ends with the answer to a real request.

    Hosts, scaling and time-outs stand in the task's YAML, under endpoint. An update that fails is rolled back. Exit 1: it failed.
    """
    import sys

    from pipelines.config import load_training
    from pipelines.service.caller import caller
    from pipelines.service.hosting.deploying import check_standing, confirm, is_unchanged
    from pipelines.service.hosting.deploying import deploy as deploy_plan
    from pipelines.service.hosting.first_request import first_request
    from pipelines.service.hosting.plan import endpoint_name, plan
    from pipelines.service.hosting.proof import check_approved, check_artefact, check_encoder, check_instance_type
    from pipelines.service.versions import find
    from pipelines.tables import print_json
    from pipelines.tasks import task_spec

    session = enter(environment)
    settings = load_training(task, session.environment, kind=kind)
    endpoint = endpoint_name(settings, name)
    found = find(session, task, version, kind)
    unapproved = check_approved(found, task, allow_unapproved)
    check_instance_type(found, settings)
    planned = plan(session.environment, task, settings, found, endpoint, caller(session), unapproved)
    now = check_standing(session, planned)
    check_encoder(session, task, found)
    check_artefact(session, found)
    if dry_run:
        print_json(_requests(planned, exists=now is not None))
        return 0
    request, accept = first_request(session, task, found, sample), task_spec(task).hosted.answers[0]
    if now is not None and is_unchanged(now, planned):
        done = confirm(session, planned, now, request, accept)
    else:
        done = deploy_plan(session, planned, now, request, accept, lambda line: print(line, file=sys.stderr, flush=True))
    _print(session, planned, done, request, as_json=json)
    return 0


def _requests(planned: Plan, *, exists: bool) -> list[dict[str, object]]:
    """Every request, in order."""
    requests = list(planned.requests(exists=exists))
    if planned.alarm is not None:
        requests.insert(0, ("PutMetricAlarm", planned.alarm))
    if planned.scaling is not None:
        requests += [("RegisterScalableTarget", planned.scaling.target), ("PutScalingPolicy", planned.scaling.policy)]
    return [{"operation": operation, "request": request} for operation, request in requests]


def _print(session: Session, planned: Plan, done: Deployed, request: FirstRequest, *, as_json: bool) -> None:
    from pipelines.service.hosting.address import address
    from pipelines.service.hosting.asking import said, short
    from pipelines.tables import print_json

    answer, where = said(done.answer.read()), address(session, planned.endpoint)
    if as_json:
        print_json(
            {
                "endpoint": planned.endpoint,
                "outcome": done.outcome,
                "version": planned.version.number,
                "arn": planned.version.arn,
                "asked": request.what,
                "answer": done.answer.read(),
                "evaluated": {"label": request.label, "probability": request.probability},
                "address": where,
            }
        )
        return
    print(f"{planned.endpoint}: version {planned.version.number} in service, {done.outcome}")
    if "unapproved" in planned.tags:
        print(f"warning: nobody approved it: {planned.tags['unapproved']}")
    print(f"first request: {request.what}")
    words = (
        ", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in answer.items())
        or f"{len(done.answer.content):,} bytes"
    )
    evaluated = f"; Evaluate wrote {request.label}, {request.probability:.3f}" if request.probability is not None else ""
    print(f"answer: {words}{evaluated}")
    print(f"ask it: python -m pipelines.invoke --task {planned.task} …" + (f"\n    or: {where}" if where else ""))


if __name__ == "__main__":
    run(deploy)
