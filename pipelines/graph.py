"""``python -m pipelines.graph --task msi``: the pipeline's picture, as Mermaid."""

from __future__ import annotations

from typing import Any

from pipelines.cli import Debug, EnvironmentName, Task, run

_SHAPES = {
    "Processing": '{name}["{name}"]',
    "Training": '{name}[["{name}"]]',
    "Condition": '{name}{{"{name}"}}',
    "RegisterModel": '{name}[("{name}")]',
    "Fail": '{name}(("{name}"))',
}


def mermaid(definition: dict[str, Any]) -> str:
    """A flowchart: an arrow for every step that another waits for, ``yes`` and ``no`` out of a condition."""
    from pipelines.checks.expressions import all_steps
    from pipelines.checks.graph import edges

    lines = ["flowchart TD"]
    labels = {}
    for step in all_steps(definition):
        lines.append("    " + _SHAPES[step["Type"]].format(name=step["Name"]))
        arguments = step.get("Arguments", {})
        for key, label in (("IfSteps", "yes"), ("ElseSteps", "no")):
            labels.update({(step["Name"], inner["Name"]): label for inner in arguments.get(key, [])})
    needs = edges(definition)
    for name, found in needs.items():
        gates = [gate for gate in found if (gate, name) in labels]
        for source in gates or _direct(list(found), needs):
            answer = labels.get((source, name))
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
    debug: Debug = False,
) -> int:
    """Print a task's steps and what waits for what, as a Mermaid flowchart."""
    from pipelines.builder import build
    from pipelines.config import load_environment, load_task

    env = load_environment(environment)
    print(mermaid(build(task, load_task(task, env), env).definition), end="")
    return 0


if __name__ == "__main__":
    run(graph)
