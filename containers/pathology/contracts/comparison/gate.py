"""Whether a candidate may be registered: its threshold, and that it is not clearly worse than the champion, the approved version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import model_validator

from pathology.contracts.comparison.result import PairedComparison, PairedScore
from pathology.contracts.evaluation import Bounds, Estimate
from pathology.contracts.settings import Fraction, Settings, setting
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.uris import UriText

Rule = Literal["not-worse", "noninferior"]
Judged = Literal["lower", "value"]


class ChampionRule(Settings):
    """What the champion asks of a candidate."""

    champion: Rule = setting(
        "not-worse",
        "What a candidate must show against the approved version: not-worse, that it is not clearly worse; noninferior, that the paired "
        "interval's lower bound lies above minus noninferiority-margin.",
        parameter="ChampionRule",
    )
    max_regression: Fraction = setting(
        0.05, "Most by which a candidate's score may lie below the approved version's, for not-worse.", parameter=True
    )
    noninferiority_margin: Fraction = setting(
        0.02, "Most that the paired interval leaves open that a candidate is worse, for noninferior.", parameter=True
    )


class GateRule(ChampionRule):
    """What a task's ``gate`` asks for beside its threshold. YAML 1.1 reads a bare ``on`` as true, and so that is taken for it."""

    on: Judged = setting(
        "lower",
        "What the threshold judges: lower, the lower bound of the score's interval; value, the score itself.",
        parameter="GateOn",
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_on(cls, values: Any) -> Any:
        if isinstance(values, dict) and True in values:
            return {"on": values[True]} | {key: value for key, value in values.items() if key is not True}
        return values


class BinaryGateRule(GateRule):
    """What the gate of a binary classifier may ask for besides."""

    min_specificity: Fraction = setting(
        0.0,
        "Least specificity on the test items, or lower bound of it, at the operating point nominal, which training set to its sensitivity; "
        "0 asks for none.",
        parameter=True,
    )


class CompareJob(BinaryGateRule):
    """What a Compare job gets: the gate, and from the graph the task's threshold, the group of versions, the ledger's folder and time."""

    threshold: Fraction = setting(..., "Least score that registers a model.")
    group: str = setting(..., "Model package group whose latest approved version is the champion.")
    ledger: UriText = setting(..., "Where looks at test sets are written.")
    max_minutes: int = setting(30, "How long the job may run; the champion's artefact has two thirds of it.", ge=1)


class ThresholdResult(StrictJson):
    """A score against what the gate asks for ``least``; ``on`` says whether its interval's lower bound or its value is judged.

    ``judged`` is null where the bound is asked for and the score has no interval. ``at`` says, behind the value, at which operating point
    it was measured, empty for a score that has none.
    """

    measure: str
    title: str
    value: float
    on: Judged
    judged: float | None
    least: float
    at: str = ""

    @property
    def measured(self) -> str:
        """The score, in words."""
        return f"{self.title} {self.value:.3f}{self.at and ' ' + self.at}"

    @property
    def asked(self) -> str:
        """What was asked for, in words."""
        return f"{self.title} {'lower bound ' if self.on == 'lower' else ''}at least {self.least:g}{self.at and ' ' + self.at}"

    @property
    def passed(self) -> bool:
        """Whether it is reached."""
        return self.judged is not None and self.judged >= self.least

    @property
    def complaint(self) -> str:
        """What is missing, and by how much."""
        if self.judged is None:
            return f"{self.measured} has no interval whose lower bound could reach {self.least:g}: ask for its value"
        what = f"the lower bound {self.judged:.3f} of {self.measured}" if self.on == "lower" else self.measured
        return f"{what} is below {self.least:g}, by {_gap(self.least - self.judged)}"


def threshold_result(measure: str, title: str, found: Estimate, on: Judged, least: float, at: str = "") -> ThresholdResult:
    """Judge an entry of evaluation.json's ``intervals``."""
    judged = found.value if on == "value" else found.low if isinstance(found, Bounds) else None
    return ThresholdResult(measure=measure, title=title, value=found.value, on=on, judged=judged, least=least, at=at)


class GateDecision(StrictJson):
    """Whether the candidate passes, in words and in the figures behind them.

    ``message`` names every condition that failed and by how much, or says what held. ``warnings`` stand on the version: what was not
    judged. ``difference`` is the candidate's less the champion's, null without a comparison.
    """

    passed: bool
    message: str
    warnings: list[str]
    thresholds: list[ThresholdResult]
    champion: str | None
    rule: Rule
    max_regression: float
    noninferiority_margin: float
    difference: PairedScore | None


def decide(
    rule: ChampionRule,
    thresholds: Sequence[ThresholdResult],
    comparison: PairedComparison | None,
    *,
    measure: str,
    title: str,
) -> GateDecision:
    """Judge a candidate by all ``thresholds``, and by ``measure`` of its ``comparison`` with the champion; None where nothing is approved.

    - No champion: the thresholds alone decide, and a warning says so.
    - Not comparable: there is a champion and nothing can be said against it. Under ``not-worse`` the thresholds alone decide, with a
      warning, since a gate that no candidate can pass would stop all work over a changed test set; ``noninferior`` asks for proof and
      fails.
    - ``not-worse`` fails where the score lies below the champion's by more than ``max-regression``, or the paired interval wholly below 0.
    - ``noninferior`` fails unless the paired interval's lower bound lies above minus ``noninferiority-margin``.

    Raises:
        KeyError: when the two were compared, and not by ``measure``.
    """
    complaints = [threshold.complaint for threshold in thresholds if not threshold.passed]
    difference, warnings = None, []
    alone = f"the threshold{'s' if len(thresholds) > 1 else ''} alone {'were' if len(thresholds) > 1 else 'was'} judged"
    if comparison is None:
        warnings.append(f"no approved version to compare with: {alone}")
    elif not comparison.comparable:
        missing = f"not comparable with {comparison.second}: {comparison.reason}"
        if rule.champion == "noninferior":
            complaints.append(f"{missing}; champion noninferior asks for a comparison")
        else:
            warnings.append(f"{missing}; {alone}")
    else:
        difference = comparison.scores[measure]
        complaint, warning = _against(rule, difference, comparison, title)
        complaints += complaint
        warnings += warning + [f"it is not known what {name} was trained on" for name in comparison.learning_unknown]
    return GateDecision(
        passed=not complaints,
        message="; ".join(complaints) or _held(thresholds, difference, comparison, title),
        warnings=warnings,
        thresholds=list(thresholds),
        champion=None if comparison is None else comparison.second,
        rule=rule.champion,
        max_regression=rule.max_regression,
        noninferiority_margin=rule.noninferiority_margin,
        difference=difference,
    )


def _against(rule: ChampionRule, found: PairedScore, comparison: PairedComparison, title: str) -> tuple[list[str], list[str]]:
    """Complaints and warnings about one measure of a comparison."""
    on_items = f"on the same {comparison.n:,} {comparison.unit}"
    if found.difference is None or found.first is None or found.second is None:
        missing = f"{title} has no value of both models {on_items}"
        return ([f"{missing}; champion noninferior asks for one"], []) if rule.champion == "noninferior" else ([], [missing])
    scores = f"{title} {found.first:.3f} against {comparison.second}'s {found.second:.3f} {on_items}"
    if rule.champion == "noninferior":
        if found.bounds is None:
            return [f"{scores}: the difference has no interval ({found.method}), and champion noninferior asks for one"], []
        short = -rule.noninferiority_margin - found.bounds.low
        if short < 0:
            return [], []
        bound = f"the difference's lower bound {found.bounds.low:+.3f} is not above −{rule.noninferiority_margin:g}"
        return [f"{scores}: {bound}, by {_gap(short)}"], []
    complaints = []
    excess = -found.difference - rule.max_regression
    if excess > ROUNDING:
        worse = f"worse by {-found.difference:.3f}, which is {_gap(excess)} more than max-regression {rule.max_regression:g}"
        complaints.append(f"{scores}: {worse}")
    if found.bounds is None:
        return complaints, [f"the difference of {title} has no interval ({found.method}): max-regression alone was judged"]
    if found.bounds.high < 0:
        bounds = f"{found.bounds.low:+.3f} to {found.bounds.high:+.3f}"
        complaints.append(
            f"{scores}: the interval of the difference, {bounds}, lies wholly below 0, by {_gap(-found.bounds.high)}"
        )
    return complaints, []


ROUNDING = 1e-9
"""A regression of just max-regression passes, whatever subtraction makes of its last bit."""


def _gap(value: float) -> str:
    """By how much, with as many digits as it takes to be more than nothing."""
    return f"{value:.3f}" if value >= 0.0005 else f"{value:.1g}"


def _held(
    thresholds: Sequence[ThresholdResult], found: PairedScore | None, comparison: PairedComparison | None, title: str
) -> str:
    said = [
        each.measured + (f" with the lower bound {each.judged:.3f}" if each.on == "lower" else "") + f" reaches {each.least:g}"
        for each in thresholds
    ]
    if comparison is not None and found is not None and found.difference is not None:
        bounds = (
            ""
            if found.bounds is None
            else f" ({comparison.confidence:.0%} interval {found.bounds.low:+.3f} to {found.bounds.high:+.3f})"
        )
        said.append(
            f"{title} less {comparison.second}'s on the same {comparison.n:,} {comparison.unit} is {found.difference:+.3f}{bounds}"
        )
    return "; ".join(said) or "nothing was asked for"
