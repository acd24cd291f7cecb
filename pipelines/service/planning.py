"""What a pipeline's gate asks of the next model, at the size of the test set that was last evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from botocore.exceptions import BotoCoreError, ClientError
from pathology.contracts.comparison.gate import GateRule, Rule
from pathology.contracts.comparison.planning import chances_equal_model_passes, measured_needed, measured_needed_like
from pathology.contracts.errors import PathologyError
from pathology.contracts.evaluation import Bounds

from pipelines.scores import title
from pipelines.service.errors import explain
from pipelines.service.executions import recent
from pipelines.service.outcomes import outcomes
from pipelines.service.session import Session
from pipelines.service.version import headline_of
from pipelines.service.versions import listed
from pipelines.tasks import task_spec
from pipelines.tasks.sections import PipelineYaml

CORRELATIONS = (0.8, 0.95)
"""Of two equally good models' scores within a class, as seeds of one training have them."""
PAIRS = 500
"""Of models: a chance has a standard error of 2.2 points at most; a third of a second at mhist's 977 patches."""
FEW = 0.5
"""A chance below is warned of."""
EXECUTIONS = 5
"""The latest are looked at where no version has an evaluation."""
_UNREADABLE = (ClientError, BotoCoreError, PathologyError, OSError, ValueError)


def gate_lines(session: Session, task: str, settings: PipelineYaml, kind: str) -> Iterator[str]:
    """Lines on the gate: what score its threshold asks for, and how often an equally good model passes it; or that nobody knows yet.
    What cannot be read is said: the pipeline is deployed all the same."""
    gate = getattr(settings, "gate", None)
    if not isinstance(gate, GateRule):
        return
    spec = task_spec(task)
    measure = spec.headline[0]
    least, on = getattr(gate, f"min_{measure}"), " lower bound" if gate.on == "lower" else ""
    said = f"gate: {title(measure, spec.titles)}{on} at least {least:g}"
    try:
        name, block = _latest(session, task, kind)
        found = headline_of(block)
        if found is None or found[0] != measure:
            yield (
                f"{said}; what that asks of a model is said once one was evaluated: "
                f"python -m pipelines.check_data --task {task} counts the test items before"
            )
        else:
            yield from _at(gate, least, said, found[1], block, name)
    except _UNREADABLE as error:
        words = explain(error) if isinstance(error, ClientError | BotoCoreError) else str(error)
        yield f"{said}; what that asks of a model cannot be told: {' '.join(words.split())}"


def _at(gate: GateRule, least: float, said: str, estimate: dict[str, Any], block: dict[str, Any], name: str) -> Iterator[str]:
    """At what ``name`` was evaluated on."""
    n, positives = block.get("n"), block.get("positives")
    if not isinstance(n, int) or not isinstance(positives, int):
        yield f"{said}{_like(gate, least, estimate, name)}"
        return
    yield f"{said}{_needed(gate, least, positives, n - positives, block)}"
    yield from _chances(gate, positives, n - positives, estimate["value"], name)


def _latest(session: Session, task: str, kind: str) -> tuple[str, dict[str, Any]]:
    """The latest evaluation's ``pathology`` and whose it is: the latest version's, else that of the latest execution that has one."""
    for version in listed(session, task, kind, 1):
        if version.headline:
            return f"version {version.number}", version.block
    states = recent(session, task, EXECUTIONS, kind)
    for state, outcome in zip(states, outcomes(session, states), strict=True):
        if outcome.headline:
            return f"execution {state.identity}", outcome.block
    return "", {}


def _needed(gate: GateRule, least: float, positives: int, negatives: int, block: dict[str, Any]) -> str:
    """What a bound asks of the score; nothing where the score itself is judged."""
    if gate.on != "lower":
        return ""
    needed = measured_needed(least, positives, negatives, block.get("confidence", 0.95))
    at = f": at {positives:,} positive of {positives + negatives:,}"
    return f"{at} no model reaches it" if needed is None else f"{at} needs {needed:.2f} measured"


def _like(gate: GateRule, least: float, estimate: dict[str, Any], name: str) -> str:
    """The same for a measure whose interval depends on what was tested."""
    if gate.on != "lower":
        return ""
    if "low" not in estimate:
        return f": {name}'s has no interval, so that nothing passes"
    needed = measured_needed_like(least, Bounds(value=estimate["value"], low=estimate["low"], high=estimate["high"]))
    return f": needs some {needed:.2f} measured, by {name}'s interval"


def _chances(gate: GateRule, positives: int, negatives: int, auroc: float, name: str) -> Iterator[str]:
    """How often a model that is as good as the last passes the champion's rule, and the other rule."""
    if not 0.5 <= auroc < 1:
        yield f"how often a model as good as {name} passes cannot be simulated at its AUROC of {auroc:.3f}"
        return
    others = [rule for rule in get_args(Rule) if rule != gate.champion]
    rules = [gate.model_copy(update={"champion": rule}) for rule in (gate.champion, *others)]
    chances = [
        chances_equal_model_passes(positives, negatives, auroc=auroc, correlation=correlation, rules=rules, pairs=PAIRS)
        for correlation in CORRELATIONS
    ]
    own, *rest = [_span(sorted(of_rule)) for of_rule in zip(*chances, strict=True)]
    warning = "warning: " if min(of[0] for of in chances) < FEW else ""
    shown = ", ".join(f"{rule} in {span}" for rule, span in zip(others, rest, strict=True))
    yield (
        f"{warning}a model as good as {name} passes champion={gate.champion} in {own}, {shown} "
        f"(simulated; score correlations {CORRELATIONS[0]:g} to {CORRELATIONS[1]:g})"
    )


def _span(chances: list[float]) -> str:
    low, high = (f"{100 * chance:.0f}" for chance in (chances[0], chances[-1]))
    return f"{low} %" if low == high else f"{low}–{high} %"
