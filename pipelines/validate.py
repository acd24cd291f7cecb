"""``python -m pipelines.validate --task msi``: every offline check of the definition, and all that is wrong."""

from __future__ import annotations

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, run, say_where
from pipelines.tasks import TRAIN


def validate(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Check a task's definition without AWS. Request shapes, references, limits, placement, hyperparameters."""
    from pipelines.config import load_environment, load_task

    env = load_environment(environment, filled_in=True)
    say_where(env)
    settings = load_task(task, env, kind=kind)

    from pipelines.builder import build
    from pipelines.checks.definition import check
    from pipelines.tables import print_json

    compiled = build(task, settings, env, kind)
    problems = check(compiled.name, compiled.definition)
    if json:
        print_json([{"where": problem.where, "what": problem.what} for problem in problems])
        return 2 if problems else 0
    for problem in problems:
        print(problem)
    print(f"{compiled.name}: {f'{len(problems)} problems' if problems else 'valid'}")
    return 2 if problems else 0


if __name__ == "__main__":
    run(validate)
