"""A model version's card, made of its evaluation: intended use, data, scores, limits, warnings, and the encoder with its licence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pathology.contracts.description.evaluated import Evaluated
from pathology.contracts.description.schema import (
    LONG,
    MAX_CONTENT,
    MAX_DATASETS,
    MAX_HYPERPARAMETERS,
    MAX_TRAINING_DATASETS,
    MEASURE,
    OBSERVATION,
    SHORT,
    AdditionalInformation,
    EvaluationDetails,
    GraphMetric,
    HyperParameter,
    IntendedUses,
    MetricGroup,
    ModelCard,
    Overview,
    SimpleMetric,
    TrainingDetails,
    TrainingJob,
)
from pathology.contracts.evaluation import Bounds, Estimate

LICENCES = {"bioptimus/H-optimus-0": "Apache-2.0, as its publisher's page says"}
"""By the repository whose hash the checkpoint has (https://huggingface.co/bioptimus/H-optimus-0)."""
NOT_STATED = "not stated: nobody proved whose weights they are; whoever chose them knows the terms"
CUT = " [cut: evaluation.json has all of it]"
LEFT_OUT = "left out of this card"
USES = (
    "Research: to study whether the task can be done on slides like those of its training, and on which it fails. "
    "Not a medical device: it was validated for no clinical use, and no diagnosis or treatment may rest on it."
)
RISK = "Nobody has rated the risk of a use: that is for whoever puts it to one."

T = TypeVar("T")


def licence(evaluated: Evaluated) -> str:
    """The encoder's licence: known of a checkpoint whose hash its publisher states, and of no other."""
    source = evaluated.encoder.source
    return LICENCES.get(source.repository, NOT_STATED) if source else NOT_STATED


def card(evaluated: Evaluated, purpose: str) -> ModelCard:
    """The card of a version that does what ``purpose`` says; what is too long for it is cut, and it says so."""
    measures, settings = len(evaluated.intervals), MAX_HYPERPARAMETERS
    while True:
        made = _card(evaluated, purpose, measures, settings)
        if len(made.content()) <= MAX_CONTENT or not measures + settings:
            return made
        measures, settings = measures // 2, settings // 2


def _card(evaluated: Evaluated, purpose: str, measures: int, settings: int) -> ModelCard:
    left_out: dict[str, int] = {}

    def first(what: str, items: Sequence[T], most: int) -> list[T]:
        if len(items) > most:
            left_out[what] = len(items) - most
        return list(items[:most])

    training = evaluated.model.training
    tables = [f"{name}, sha256 {digest}" for name, digest in sorted(training.inputs.items())]
    details = TrainingDetails(
        training_observations=_cut(_trained_on(evaluated), SHORT),
        training_job_details=TrainingJob(
            training_datasets=[_cut(table, SHORT) for table in first("tables of training", tables, MAX_TRAINING_DATASETS)],
            user_provided_hyper_parameters=[
                HyperParameter(name=_cut(name, MEASURE), value=_cut(value, MEASURE) or "(empty)")
                for name, value in first("hyperparameters", sorted(training.settings.items()), settings)
            ],
        ),
    )
    uris = [f"{name}: {uri}" for name, uri in sorted(evaluated.data_uris.items())]
    scores: list[SimpleMetric | GraphMetric] = [
        _metric(evaluated, name, value) for name, value in first("measures", list(evaluated.intervals.items()), measures)
    ]
    test = EvaluationDetails(
        name="test set",
        evaluation_observation=_cut(_tested_on(evaluated), OBSERVATION),
        datasets=[_cut(uri, SHORT) for uri in first("places of test data", uris, MAX_DATASETS)],
        metadata={name: _cut(digest, SHORT) for name, digest in evaluated.data.items()},
        metric_groups=[MetricGroup(name="scores on the test set", metric_data=scores)],
    )
    return ModelCard(
        model_overview=Overview(
            model_creator=_cut(_creator(evaluated), SHORT), model_artifact=[_cut(evaluated.model.archive_uri, SHORT)]
        ),
        intended_uses=IntendedUses(
            purpose_of_model=_cut(purpose or "not stated", LONG),
            intended_uses=USES,
            factors_affecting_model_efficiency=_cut(_limits(evaluated), LONG),
            risk_rating="Unknown",
            explanations_for_risk_rating=RISK,
        ),
        training_details=details,
        evaluation_details=[test],
        additional_information=AdditionalInformation(
            caveats_and_recommendations=_cut(" ".join(evaluated.warnings) or "The evaluation has no warning.", LONG),
            custom_details=_custom(evaluated, left_out),
        ),
    )


def _cut(text: str, most: int) -> str:
    """``text`` on one line; one of more than ``most`` characters ends in :data:`CUT`."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - len(CUT)] + CUT


def _creator(evaluated: Evaluated) -> str:
    run = evaluated.computed_by
    return f"pipeline {run.pipeline}, execution {run.execution}" if run else "a job that no pipeline started"


def _trained_on(evaluated: Evaluated) -> str:
    baseline, unit = evaluated.baseline, evaluated.seen.unit
    n = "A number that is not recorded" if baseline is None or baseline.fitted_on is None else f"{baseline.fitted_on:,}"
    positives = f", {baseline.positives:,} of them positive" if baseline and baseline.positives is not None else ""
    code = evaluated.model.training.code
    return f"Trained on {n} {unit}{positives}. Code of training: {code or 'not recorded'}."


def _tested_on(evaluated: Evaluated) -> str:
    seen, positives = evaluated.seen, evaluated.positives
    of_class = f", {positives:,} of them positive" if positives is not None else ""
    learnt = "It is not known how many of them" if seen.seen is None else f"{seen.seen:,} of them"
    return (
        f"{evaluated.n:,} {seen.unit}{of_class}. {learnt} the model has learnt from. Intervals are at the level "
        f"{evaluated.confidence:g}, for items that come as those of this test."
    )


def _limits(evaluated: Evaluated) -> str:
    return (
        f"One test set of {evaluated.n:,} {evaluated.seen.unit}: scores of another hospital, scanner or stain are not known, and "
        "may be lower. Differences that are smaller than the intervals say nothing. A model is only as good as the labels it learnt."
    )


def _metric(evaluated: Evaluated, name: str, value: Estimate) -> SimpleMetric:
    if isinstance(value, Bounds):
        how = evaluated.interval_methods.get(name)
        notes = f"{evaluated.confidence:.0%} interval {value.low:.4g} to {value.high:.4g}" + (f" ({how})" if how else "")
    else:
        notes = f"no confidence interval; {value.lowest:.4g} to {value.highest:.4g} as each of {value.clusters:,} clusters is left out"
    return SimpleMetric(name=_cut(name, MEASURE), type="number", value=value.value, notes=_cut(notes, SHORT))


def _custom(evaluated: Evaluated, left_out: Mapping[str, int]) -> dict[str, str]:
    encoder, model = evaluated.encoder, evaluated.model
    found: dict[str, Any] = {
        "encoder": encoder.name,
        "encoder's licence": licence(evaluated),
        "encoder's origin": encoder.origin,
        "encoder's sha256": encoder.sha256,
        "artefact's sha256": model.archive_sha256,
        "code that serves it": model.serving_code,
    }
    if left_out:
        counted = ", ".join(f"{count:,} {what}" for what, count in left_out.items())
        found[LEFT_OUT] = f"{counted}: evaluation.json has them"
    return {name: _cut(value, SHORT) for name, value in found.items()}
