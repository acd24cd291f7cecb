"""``python -m pipelines.upsert --task msi``: create the pipeline, or update it where it changed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Task, run, say_where


def _commit() -> dict[str, str]:
    """The git commit as a tag; nothing outside a checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {"git-commit": found.stdout.strip()} if found.returncode == 0 else {}


def upsert(
    task: Task,
    environment: EnvironmentName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the definition; change nothing, call nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print what would change. Exit 0: nothing, 1: something.")] = False,
    debug: Debug = False,
) -> int:
    """Create a task's pipeline, or update it where it changed. Where nothing did, no call is made that changes anything."""
    from pipelines.config import load_environment, load_task

    env = load_environment(environment)
    say_where(env)
    settings = load_task(task, env)

    from pipelines.builder import build  # imports the SDK, which takes seconds: a wrong request is refused before
    from pipelines.checks.definition import refuse_faulty

    built = build(task, settings, env)
    refuse_faulty(built.name, built.definition)
    if dry_run:
        print(built.text)
        return 0

    from pipelines.differences import differences
    from pipelines.service.deployment import deployed, upsert
    from pipelines.service.session import open_session

    session = open_session(env)
    if diff:
        now = deployed(session, built.name)
        if now is None:
            print(f"pipeline {built.name} is not there yet: an upsert would create it")
            return 1
        lines = list(differences(now["Definition"], built.definition))
        print("\n".join(lines) if lines else f"pipeline {built.name} is the same")
        return 1 if lines else 0
    done = upsert(session, built, _commit())
    print(f"pipeline {built.name} {done.pipeline} ({done.arn})")
    group = "created" if done.group_created else "is there"
    print(f"model package group {built.group} {group}; {done.uploaded} code archives uploaded")
    return 0


if __name__ == "__main__":
    run(upsert)
