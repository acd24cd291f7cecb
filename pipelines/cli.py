"""The edge of every verb: its options, the line that says where it works, and one line for whatever goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pathology.contracts.errors import PathologyError

from pipelines.tasks import NAMES

if TYPE_CHECKING:
    from pipelines.service.session import Session

INTERRUPTED = 130
"""The exit code of a verb that somebody ended by Ctrl-C, as shells have it."""
Task = Annotated[str, typer.Option("--task", help=f"The pipeline's task: {', '.join(NAMES)}.")]
Kind = Annotated[str, typer.Option("--pipeline", help="Which of the task's pipelines.")]
EnvironmentName = Annotated[
    str | None,
    typer.Option(
        "--environment",
        help="An environment's file, or its name in environments/. Default: $PATHOLOGY_ENVIRONMENT, else local.",
        show_default=False,
    ),
]
OptionalTask = Annotated[
    str | None, typer.Option("--task", help="The pipeline's task; not needed beside a whole ARN.", show_default=False)
]
ExecutionName = Annotated[
    str, typer.Argument(metavar="[EXECUTION]", help="An execution's id or ARN; the latest when left out.", show_default=False)
]
VersionName = Annotated[
    str, typer.Argument(metavar="VERSION", help="A model version's number or ARN, or latest.", show_default=False)
]
EndpointName = Annotated[
    str | None, typer.Option("--name", help="The endpoint's name; the task's group when left out.", show_default=False)
]
Note = Annotated[str, typer.Option("--note", help="Why, in one line; it stays with the version.", show_default=False)]


def _count(text: str) -> int:
    """A whole number from 1, read as strictly as parameters' values are."""
    from pipelines.checks.values import is_number, shown

    if not is_number(text, whole=True) or int(text) < 1:
        raise typer.BadParameter(f"should be a whole number from 1, such as 4, not {shown(text)}")
    return int(text)


Parallelism = Annotated[
    int | None,
    typer.Option(
        "--parallelism", parser=_count, metavar="NUMBER", help="Steps that may run at once, at most.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")]


def say_where(environment: Any) -> None:
    """The first line of every verb: which environment it works in. On standard error, so that output can be piped."""
    location = "this machine" if environment.local else f"account {environment.account}, {environment.region}"
    print(f"environment {environment.name} ({location})", file=sys.stderr)


def enter(environment: str | None) -> Session:
    """Open the session of an environment, and say which it is."""
    from dataclasses import replace

    from pipelines.config import load_environment
    from pipelines.service.session import open_session

    env = load_environment(environment)
    say_where(env)
    return replace(open_session(env), given=environment)


def run(verb: Callable[..., Any]) -> None:
    """Run a verb from its signature; a known error is one line on standard error with exit code 1 or 2.

    A verb returns its exit code, or None for 0.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(help=verb.__doc__)(verb)
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False, prog_name=f"python -m pipelines.{verb.__name__}")
    except PathologyError as error:
        if debug and error.exit_code != INTERRUPTED:
            raise
        _end(str(error), error.exit_code)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        _end(*_explain(error))
    if code == INTERRUPTED:  # typer answers this in place of raising the interrupt
        _end("interrupted; an execution that was started goes on: python -m pipelines.executions lists it", INTERRUPTED)
    sys.exit(code or 0)


def _explain(error: Exception) -> tuple[str, int]:
    """A line and an exit code for errors of the command line, of AWS and of this machine's disk; whatever else is a fault of ours,
    and shows itself."""
    if hasattr(error, "format_message"):
        return str(error.format_message()), 2
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError | BotoCoreError):
        from pipelines.service.errors import explain

        return explain(error), 2
    if isinstance(error, OSError) and error.errno is not None:
        from pipelines.service.errors import explain_disk
        from pipelines.service.session import state_folder

        return explain_disk(error, state_folder()), 2
    raise error


def _end(message: str, code: int) -> None:
    from pipelines.local.own import with_own_paths
    from pipelines.service.session import state_folder

    with suppress(OSError):  # the line on a disk that cannot be read has to come out all the same
        message = with_own_paths(state_folder(), message)
    prefix = "" if code == INTERRUPTED else "error: "
    print(f"{prefix}{' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
