"""``python -m pipelines.graph --task msi``: the pipeline's picture, as Mermaid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.cli import Debug, EnvironmentName, Json, Task, run

_SHAPES = {
    "Processing": '{name}["{name}"]',
    "Training": '{name}[["{name}"]]',
    "Condition": '{name}{{"{name}"}}',
    "RegisterModel": '{name}[("{name}")]',
    "Fail": '{name}(("{name}"))',
}


def arrows(definition: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """From, to, answer: for every step that another waits for; the answer is ``yes`` or ``no`` out of a condition."""
    from pipelines.checks.expressions import all_steps
    from pipelines.checks.graph import edges

    answers = {}
    for step in all_steps(definition):
        for key, answer in (("IfSteps", "yes"), ("ElseSteps", "no")):
            answers.update({(step["Name"], inner["Name"]): answer for inner in step.get("Arguments", {}).get(key, [])})
    needs = edges(definition)
    for name, found in needs.items():
        gates = [gate for gate in found if (gate, name) in answers]
        for source in gates or _direct(list(found), needs):
            yield source, name, answers.get((source, name))


def mermaid(definition: dict[str, Any]) -> str:
    """The flowchart."""
    from pipelines.checks.expressions import all_steps

    lines = ["flowchart TD", *("    " + _SHAPES[step["Type"]].format(name=step["Name"]) for step in all_steps(definition))]
    for source, name, answer in arrows(definition):
        lines.append(f"    {source} -->|{answer}| {name}" if answer else f"    {source} --> {name}")
    return "\n".join(lines) + "\n"


def _direct(sources: list[str], needs: dict[str, dict[str, None]]) -> list[str]:
    """Sources that no other source waits for already: the arrows that say something."""

    def before(name: str) -> set[str]:
        found = set(needs[name])
        return found.union(*(before(source) for source in needs[name]))

    return [source for source in sources if not any(source in before(other) for other in sources if other != source)]


def graph(
    task: Task,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Print a task's steps and what waits for what, in Mermaid."""
    from pipelines.config import load_environment, load_task

    env = load_environment(environment)
    settings = load_task(task, env)

    from pipelines.builder import build
    from pipelines.checks.expressions import all_steps
    from pipelines.tables import print_json

    definition = build(task, settings, env).definition
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
