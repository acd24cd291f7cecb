"""What a gate asks of the next model, as `upsert` says it, in an account of this machine whose versions were made without a run."""

import json

import pytest
from botocore.exceptions import ClientError
from pathology.contracts.comparison.gate import ChampionRule
from pathology.contracts.comparison.planning import chances_equal_model_passes

from pipelines.config import LOCAL, load_task
from pipelines.local.client import LocalSageMaker
from pipelines.service import planning
from pipelines.service.session import open_session
from tests.pipelines import registry

FAIL = {"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "not today"}}
EMPTY = {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [FAIL]}


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHOLOGY_STATE", str(tmp_path / "state"))
    opened = open_session(LOCAL)
    opened.sagemaker.create_model_package_group(ModelPackageGroupName=registry.GROUP)
    opened.sagemaker.create_pipeline(
        PipelineName=registry.GROUP, PipelineDefinition=json.dumps(EMPTY), RoleArn=LOCAL.pipeline_role
    )
    return opened


@pytest.fixture
def said(session):
    """``said(champion="noninferior")``: the lines on msi's gate, changed so."""

    def lines(**changes):
        settings = load_task("msi", LOCAL)
        gate = settings.gate.model_copy(update=changes)
        return list(planning.gate_lines(session, "msi", settings.model_copy(update={"gate": gate}), "train"))

    return lines


@pytest.fixture
def add(session):
    return lambda **changes: registry.add(session.sagemaker, session.store, "local", **changes)


def test_at_the_size_that_was_evaluated(said, add):
    add(auroc=0.88)
    first, second = said()
    assert first == "gate: AUROC lower bound at least 0.65: at 15 positive of 98 needs 0.80 measured"  # docs/operating.md
    rules = [ChampionRule(champion=name) for name in ("not-worse", "noninferior")]
    low, high = (
        chances_equal_model_passes(15, 83, auroc=0.88, correlation=correlation, rules=rules, pairs=planning.PAIRS)
        for correlation in (0.8, 0.95)
    )
    assert 0.9 < low[0] < high[0] < 0.99 and 0.05 < low[1] < high[1] < 0.3  # 92 to 99 % and 9 to 30 % in the gate's own plan
    spans = [f"{100 * a:.0f}–{100 * b:.0f} %" for a, b in zip(low, high, strict=True)]
    assert second == (
        f"a model as good as version 1 passes champion=not-worse in {spans[0]}, noninferior in {spans[1]} "
        "(simulated; score correlations 0.8 to 0.95)"
    )
    assert said(on="value")[0] == "gate: AUROC at least 0.65"


def test_a_gate_that_few_good_models_pass_is_warned_of(said, add):
    add(auroc=0.88)
    assert said(champion="noninferior")[1].startswith("warning: a model as good as version 1 passes champion=noninferior in ")
    assert said(champion="noninferior", noninferiority_margin=0.2)[1].startswith("a model as good as ")
    assert said(min_auroc=0.95)[0].endswith(": at 15 positive of 98 no model reaches it")


@pytest.mark.parametrize("auroc", [1.0, 0.4])
def test_what_cannot_be_simulated_is_said(said, add, auroc):
    add(auroc=auroc)
    assert said()[1] == f"how often a model as good as version 1 passes cannot be simulated at its AUROC of {auroc:.3f}"


def test_before_anything_was_evaluated_nothing_is_made_up(said, session):
    (line,) = said()
    assert line.startswith("gate: AUROC lower bound at least 0.65; what that asks of a model is said once one was evaluated: ")
    session.sagemaker.create_model_package(ModelPackageGroupName=registry.GROUP)
    assert said() == [line]


def test_a_test_set_of_one_class_is_said_and_stops_nothing(said, add):
    add(auroc=0.88, block={"positives": 98})
    assert "cannot be told: a bound from 0 to 1 and items of both classes" in said()[0]


def test_a_registry_that_may_not_be_asked_stops_nothing(said, monkeypatch):
    def refuse(self, **_):
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListModelPackages")

    monkeypatch.setattr(LocalSageMaker, "list_model_packages", refuse)
    (line,) = said()
    assert "cannot be told: these credentials lack the permission for ListModelPackages" in line


def test_lizards_bound_is_as_wide_as_the_one_that_was_seen(session):
    """By hand: logit(0.55) + logit(0.62) − logit(0.57) = 0.2007 + 0.4895 − 0.2819 = 0.4083, and 1 / (1 + e^−0.4083) = 0.6007."""
    settings = load_task("lizard", LOCAL)
    estimate = {"value": 0.62, "low": 0.57, "high": 0.66}
    assert planning._like(settings.gate, 0.55, estimate, "version 2") == ": needs some 0.60 measured, by version 2's interval"
    assert (
        planning._like(settings.gate, 0.55, {"value": 0.6, "lowest": 0.5}, "it")
        == ": it's has no interval, so that nothing passes"
    )
