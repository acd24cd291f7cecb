"""``python -m pipelines.render``: write pipeline_definitions/<task>.json for environments/example.yaml, reviewed in diffs."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import Debug, run


def render(
    task: Annotated[str | None, typer.Option("--task", help="One task; all of them when left out.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing. Exit 1 when a file is stale.")] = False,
    debug: Debug = False,
) -> int:
    """Write the definitions that reviewers read. They have <code> in place of code hashes."""
    from pipelines.builder import build
    from pipelines.config import DEFINITIONS, load_environment, load_task
    from pipelines.tasks import NAMES, task_spec

    env = load_environment("example")
    stale = []
    for spec in map(task_spec, [task] if task else NAMES):
        for kind in spec.pipelines:
            text = build(spec.name, load_task(spec.name, env, kind=kind), env, kind).rendered
            path = spec.definition(DEFINITIONS, kind).with_suffix(".json")
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                print(f"{path.name} is up to date")
                continue
            stale.append(path.name)
            if check:
                print(f"{path.name} is stale: run python -m pipelines.render")
            else:
                path.write_text(text, encoding="utf-8")
                print(f"{path.name} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    run(render)
