"""How many definitions with one fault ``validate`` catches; ``mutants.py`` draws them."""

from collections import Counter
from itertools import islice

import pytest

from pipelines.checks.definition import check
from pipelines.config import LOCAL, load_task
from tests.pipelines.checks.mutants import drawn
from tests.pipelines.checks.planting import KINDS

TASKS = ("msi", "mhist", "lizard")
SEEDS = range(10)
A_SEED = 31
LEAST = 0.95


@pytest.fixture(scope="module")
def pipelines(example):
    from pipelines.builder import build

    return {task: build(task, load_task(task, example), example) for task in TASKS}


def caught_of(pipelines, mutants):
    """Counts of caught, and the others by what was done."""
    missed = [mutant for task, mutant in mutants if not check(pipelines[task].name, mutant.definition)]
    return len(mutants) - len(missed), Counter(f"{mutant.kind}: {mutant.what}" for mutant in missed)


def test_the_real_definitions_have_no_problem(pipelines):
    from pipelines.builder import build

    local = [build(task, load_task(task, LOCAL), LOCAL) for task in TASKS]
    assert [check(one.name, one.definition) for one in (*pipelines.values(), *local)] == [[]] * 6


def test_most_mutants_are_caught(pipelines):
    mutants = [
        (task, mutant)
        for seed in SEEDS
        for task in [TASKS[seed % 3]]
        for mutant in islice(drawn(pipelines[task].definition, seed), A_SEED)
    ]
    caught, missed = caught_of(pipelines, mutants)
    print(f"definition_mutants_caught: {caught}/{len(mutants)} = {caught / len(mutants):.3f}")
    assert len(mutants) >= 300 and {mutant.kind for _, mutant in mutants} == set(KINDS)
    assert caught / len(mutants) >= LEAST, missed


@pytest.mark.slow
def test_every_step_and_kind_of_every_definition(pipelines):
    mutants = [(task, mutant) for task in TASKS for seed in SEEDS for mutant in drawn(pipelines[task].definition, seed)]
    caught, missed = caught_of(pipelines, mutants)
    print(f"definition_mutants_caught: {caught}/{len(mutants)} = {caught / len(mutants):.3f}")
    assert caught / len(mutants) >= LEAST, missed


def test_a_mutant_is_another_definition(pipelines):
    """A fault that changed nothing would count as missed or, worse, hide in a percentage."""
    original = pipelines["mhist"].definition
    assert all(mutant.definition != original for mutant in drawn(original, 0))
