"""``python -m pipelines.graph --task msi``: the pipeline's picture, as Mermaid."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, run
from pipelines.tasks import TRAIN
from steps.shapes import Definition

_SHAPES = {
    "Processing": '{name}["{name}"]',
    "Training": '{name}[["{name}"]]',
    "Condition": '{name}{{"{name}"}}',
    "RegisterModel": '{name}[("{name}")]',
    "Fail": '{name}(("{name}"))',
}


def arrows(definition: Definition) -> Iterator[tuple[str, str, str | None]]:
    """From, to, answer: for every step that another waits for; the answer is ``yes`` or ``no`` out of a condition."""
    from pipelines.checks.expressions import all_steps
    from pipelines.checks.graph import edges

    answers = {}
    for step in all_steps(definition):
        for key, answer in (("IfSteps", "yes"), ("ElseSteps", "no")):
            answers.update({(step["Name"], inner["Name"]): answer for inner in step.get("Arguments", {}).get(key, [])})
    needs = edges(definition)
    for name, needed in needs.items():
        gates = [gate for gate in needed if (gate, name) in answers]
        for source in gates or _direct(list(needed), needs):
            yield source, name, answers.get((source, name))


def mermaid(definition: Definition) -> str:
    """The flowchart."""
    from pipelines.checks.expressions import all_steps

    lines = ["flowchart TD", *("    " + _SHAPES[step["Type"]].format(name=step["Name"]) for step in all_steps(definition))]
    for source, name, answer in arrows(definition):
        lines.append(f"    {source} -->|{answer}| {name}" if answer else f"    {source} --> {name}")
    return "\n".join(lines) + "\n"


def _direct(sources: list[str], needs: dict[str, dict[str, None]]) -> list[str]:
    """Sources that no other source waits for already: the arrows that say something."""

    def before(name: str) -> set[str]:
        ancestors = set(needs[name])
        return ancestors.union(*(before(source) for source in needs[name]))

    return [source for source in sources if not any(source in before(other) for other in sources if other != source)]


def graph(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Print a task's steps and what waits for what, in Mermaid."""
    from pipelines.config import load_environment, load_task

    env = load_environment(environment)
    settings = load_task(task, env, kind=kind)

    from pipelines.builder import build
    from pipelines.checks.expressions import all_steps
    from pipelines.tables import print_json

    definition = build(task, settings, env, kind).definition
    if json:
        print_json(
            {
                "steps": [{"name": step["Name"], "type": step["Type"]} for step in all_steps(definition)],
                "arrows": [{"from": source, "to": name, "answer": answer} for source, name, answer in arrows(definition)],
            }
        )
    else:
        print(mermaid(definition), end="")
    return 0


if __name__ == "__main__":
    run(graph)
