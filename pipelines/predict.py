"""``python -m pipelines.predict --task msi FOLDER``: ask a registered model about slides without labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Task, enter, run
from pipelines.tasks import PREDICT

if TYPE_CHECKING:
    from pipelines.service.deployment import DeployedPipeline
    from pipelines.service.session import Session


def predict(
    slides: Annotated[
        list[str], typer.Argument(metavar="SLIDES…", help="A folder of slides, slides, or s3:// URIs.", show_default=False)
    ],
    task: Task,
    environment: EnvironmentName = None,
    version: Annotated[
        str, typer.Option("--version", help="The model version: its number or ARN, latest, or approved.")
    ] = "approved",
    patients: Annotated[
        str | None,
        typer.Option("--patients", help="A table with slide and patient, a path or a URI.", show_default=False),
    ] = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as for pipelines.start.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the execution to its end.")] = True,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Ask a registered model about slides without labels. It starts the task's prediction pipeline and shows the answers."""
    from pipelines.config import pipeline_name
    from pipelines.parameters import parse_parameters
    from pipelines.service.following import ending, follow
    from pipelines.service.predicting import placed, slides_uri
    from pipelines.service.results import REPORT, location, predictions_folder, read_predictions, summary
    from pipelines.service.starting import StartRequest, request
    from pipelines.tables import print_json

    session = enter(environment)
    name = pipeline_name(task, kind=PREDICT)
    values = {"ModelVersion": _version(session, task, version), **parse_parameters(param or [])}
    values["SlidesUri"] = slides_uri(session, slides)
    if patients is not None:
        values["PatientsUri"] = patients if "://" in patients else str(placed(session, Path(patients).expanduser()))
    pipeline = _pipeline(session, task, name)
    arguments = request(session, pipeline, StartRequest(task=task, kind=PREDICT, values=values))
    arn = session.sagemaker.start_pipeline_execution(**arguments)["PipelineExecutionArn"]
    if json:
        print_json({"execution": arn}, indent=None)
    else:
        print(f"execution {arn}", flush=True)
    if not wait:
        return 0
    state = follow(session, arn, as_json=json)
    folder = predictions_folder(session, state)
    rows = read_predictions(session, folder) if folder else []
    if json:
        where = location(session, folder / REPORT) if folder else None
        print_json({"predictions": rows, "page": where}, indent=None)
        return state.exit_code
    if folder:
        _show(rows)
    for line in (*summary(session, state), *ending(state)):
        print(session.in_own_paths(line))
    return state.exit_code


def _version(session: Session, task: str, given: str) -> str:
    """What the first step gets: an ARN, or the word that it looks up itself, once somebody has approved a version."""
    from pipelines.service.versions import APPROVED, find

    found = find(session, task, given)
    return APPROVED if given == APPROVED else found.arn


def _pipeline(session: Session, task: str, name: str) -> DeployedPipeline:
    """The pipeline as it is deployed; made where it is not there."""
    from pipelines.service.deployment import deployed, require

    pipeline = deployed(session, name)
    if pipeline is None:
        from pipelines.upsert import upsert

        with redirect_stdout(sys.stderr):  # standard output is the execution's and the answers'
            upsert(task, kind=PREDICT, environment=session.given)
        pipeline = require(session, name, task)
    return pipeline


def _show(rows: Sequence[Mapping[str, str]]) -> None:
    """A row an answer: what was asked about, what was said, and why nothing."""
    from pipelines.tables import print_table, shortened, table

    cells = [
        (
            next(iter(row.values())),
            row["label"] or row["status"],
            f"{float(row['probability']):.3f}" if row["probability"] else "",
            shortened(row["reason"]),
        )
        for row in rows
    ]
    print_table(table(("Item", "Answer", "Probability", "Why, what was left out"), cells, right=("Probability",)))


if __name__ == "__main__":
    run(predict)
