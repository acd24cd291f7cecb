"""``python -m pipelines.invoke --task mhist patches/``: ask an endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.cli import Debug, EndpointName, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pipelines.service.hosting.inputs import Inputs
    from pipelines.service.hosting.invoking import Result
    from pipelines.service.session import Session

RESULTS = "results.csv"


def invoke(
    task: Task,
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|FOLDER|S3URI|SLIDE…",
            help="Pictures; for msi a slides.csv, or ids of slides with --features.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder: one result file per input, and results.csv.", show_default=False)
    ] = None,
    form: Annotated[
        Literal["json", "geojson"] | None,
        typer.Option("--format", help="Of the answers; the task's usual one when left out.", show_default=False),
    ] = None,
    features: Annotated[
        str | None, typer.Option("--features", help="For msi: the folder in S3 that slides' features are in.", show_default=False)
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option("--patients", help="For msi: a table, slide_id and patient_id, as cohort.csv.", show_default=False),
    ] = None,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=64, help="Requests at once.")] = 4,
    name: EndpointName = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Ask an endpoint: pictures, folders of them, slides. Exit 1: some were refused.

    A second run with the same --out asks for what is missing.
    """
    from contextlib import nullcontext

    from pipelines.config import load_training
    from pipelines.service.hosting.asking import Endpoint
    from pipelines.service.hosting.invoking import invoke as invoke_all
    from pipelines.service.hosting.invoking import results_in
    from pipelines.service.hosting.plan import endpoint_name
    from pipelines.service.hosting.serving import content_type, in_service
    from pipelines.tables import print_json

    accept = content_type(task, form)
    session = enter(environment)
    serving = in_service(session, task, endpoint_name(load_training(task, session.environment, kind=kind), name))
    asked = _inputs(session, task, given, features, patients)
    for line in asked.notes:
        _note(line)
    with results_in(out, serving.model) if out is not None else nullcontext() as folder:
        answers = invoke_all(Endpoint.of(session, serving.name), asked.items, accept, folder, parallel, whole=json)
        found = list(_shown(answers, len(asked.items)))
        if out is not None:
            _write_table(out / RESULTS, found)
    _say_if_updated(found)
    if json:
        print_json([one.as_json() for one in found])
    else:
        _print(found, out)
    return 1 if any(one.status == "refused" for one in found) else 0


def _note(line: str) -> None:
    import sys

    print(line, file=sys.stderr)


def _say_if_updated(found: list[Result]) -> None:
    """That two models answered, which one table must not hide."""
    from collections import Counter

    models = Counter(one.model for one in found if one.model)
    if len(models) > 1:
        words = ", ".join(f"{count} by {model}" for model, count in models.most_common())
        _note(
            f"warning: the endpoint was updated meanwhile: {words}; run this again with the same --out for answers of one model"
        )


def _inputs(session: Session, task: str, given: list[str], features: str | None, table: Path | None) -> Inputs:
    from pathology.contracts.errors import RequestError

    from pipelines.service.hosting.inputs import patients, pictures
    from pipelines.tasks import task_spec

    if task_spec(task).hosted.takes == "patients":
        return patients(session, given, features, table)
    if features is not None or table is not None:
        raise RequestError(f"--features and --patients are for slides, and {task} is asked with pictures")
    return pictures(session, given)


def _shown(results: Iterable[Result], count: int) -> Iterator[Result]:
    """The same results, with how many have come: a bar on a terminal, else a line for every tenth."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(results, "asking", total=count, console=console)
        return
    for number, one in enumerate(results, start=1):
        if count >= 20 and number * 10 // count != (number - 1) * 10 // count:
            _note(f"{number} of {count}")
        yield one


def _columns(found: list[Result]) -> list[str]:
    return list(dict.fromkeys(name for one in found for name in one.row))


def _write_table(path: Path, found: list[Result]) -> None:
    import csv
    import io

    from pathology.contracts.storage import atomic_write

    text, columns = io.StringIO(), _columns(found)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["input", "status", *columns, "model_version", "file", "reason"])
    for one in found:
        status = "refused" if one.status == "refused" else "answered"
        writer.writerow(
            [one.name, status, *(one.row.get(name, "") for name in columns), one.model or "", one.file or "", one.reason]
        )
    atomic_write(path, text.getvalue().encode())


def _print(found: list[Result], out: Path | None) -> None:
    from pipelines.service.hosting.asking import short
    from pipelines.tables import print_table, table

    columns = _columns(found)
    rows = [(one.name, *(short(one.row.get(name, "")) for name in columns)) for one in found if one.status != "refused"]
    if rows:
        headings = [name.replace("_", " ") for name in columns]
        print_table(table(("Input", *headings), rows, right=[name for name in headings if name != "label"]))
    for one in found:
        if one.status == "refused":
            print(f"refused: {one.name}: {one.reason}")
    count = {status: sum(one.status == status for one in found) for status in ("answered", "kept", "refused")}
    kept = f", {count['kept']} answered before" if count["kept"] else ""
    where = f"; results in {out}" if out is not None else ""
    print(f"{count['answered']} of {len(found)} answered{kept}, {count['refused']} refused{where}")


if __name__ == "__main__":
    run(invoke)
