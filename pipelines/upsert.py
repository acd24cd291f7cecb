"""``python -m pipelines.upsert --task msi``: create the pipeline, or update it where it changed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Kind, Task, run, say_where
from pipelines.tasks import TRAIN


def _commit() -> dict[str, str]:
    """The git commit as a tag; nothing outside a checkout."""
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {"git-commit": result.stdout.strip()} if result.returncode == 0 else {}


def upsert(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the definition; change nothing, call nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print what would change. Exit 0: nothing, 1: something.")] = False,
    debug: Debug = False,
) -> int:
    """Create a task's pipeline, or update it where it changed. Where nothing did, no call is made that changes anything.

    It says what the gate asks of a model, at the size of the test set that was last evaluated.
    """
    from pipelines.config import load_environment, load_task

    env = load_environment(environment, filled_in=True)
    say_where(env)
    settings = load_task(task, env, kind=kind)

    from pipelines.builder import build  # imports the SDK, which takes seconds: a wrong request is refused before
    from pipelines.checks.definition import refuse_faulty

    compiled = build(task, settings, env, kind)
    refuse_faulty(compiled.name, compiled.definition)
    if dry_run:
        print(compiled.text)
        return 0

    from pipelines.differences import differences
    from pipelines.service.deployment import deployed, upsert
    from pipelines.service.planning import gate_lines
    from pipelines.service.session import open_session
    from pipelines.tables import say

    session = open_session(env)
    if diff:
        now = deployed(session, compiled.name)
        if now is None:
            print(f"pipeline {compiled.name} is not there yet: an upsert would create it")
            return 1
        lines = list(differences(now["Definition"], compiled.definition))
        print("\n".join(lines) if lines else f"pipeline {compiled.name} is the same")
        return 1 if lines else 0
    done = upsert(session, compiled, _commit())
    print(f"pipeline {compiled.name} {done.pipeline} ({done.arn})")
    group = f"model package group {compiled.group} {'created' if done.group_created else 'is there'}; " if compiled.group else ""
    print(f"{group}{done.uploaded} code archives uploaded")
    for line in gate_lines(session, task, settings, kind):
        say(line)
    return 0


if __name__ == "__main__":
    run(upsert)
