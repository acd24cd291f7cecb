"""The simulation behind differences of two models: its pairs are what they say, its figures the lowest and highest of their cells."""

import json

import numpy as np
import pytest


@pytest.mark.slow
def test_pairs_have_their_aurocs_and_their_correlation():
    from pathology.contracts.intervals import area_under_roc

    from benchmarks.comparison import Pair

    truth, first, second = Pair(20_000, 10_000, "normal", (0.8, 0.95), 0.8).draw(np.random.default_rng(0), 1)
    assert area_under_roc(truth, first[0]).value == pytest.approx(0.8, abs=0.02)
    assert area_under_roc(truth, second[0]).value == pytest.approx(0.95, abs=0.01)
    assert np.corrcoef(first[0][truth == 1], second[0][truth == 1])[0, 1] == pytest.approx(0.8, abs=0.03)


def test_a_cells_coverage_is_that_of_its_intervals():
    """By chance alone 60 intervals of 95 % hold the truth in fewer than 50 once in 1,000 times."""
    from benchmarks.comparison import Pair, measure

    found = measure(Pair(80, 16, "normal", (0.88, 0.8), 0.8), 60)
    assert all(found[name] >= 50 / 60 for name in ("", "sensitivity", "specificity", "balanced_accuracy"))
    assert found["identical"] == 0 < found["narrowest"] and 0.8 < found["halfwidth"] < 1.6


def test_figures_are_the_lowest_of_their_size():
    from benchmarks.comparison import pairs_of_models, summarise

    measured = {}
    for index, pair in enumerate(pairs_of_models()):
        measured[pair] = {"": 1 - index / 1000, "halfwidth": 1.0, "narrowest": 0.1 + index, "identical": 0.0}
        if pair.shape == "normal":
            measured[pair] |= dict.fromkeys(("sensitivity", "specificity", "balanced_accuracy"), 1 - index / 1000)
    figures = summarise(measured)
    last = {pair.items: index for index, pair in enumerate(measured)}
    assert len(measured) == 3 * (27 + 18 + 18) and figures["narrowest"] == 0.1
    assert all(figures[f"coverage_paired_{items}_lowest"] == pytest.approx(1 - index / 1000) for items, index in last.items())


def test_models_of_nuclei_share_the_truth_and_the_worse_one_is_worse():
    from pathology.tasks.lizard.scores import OVERALL, measures
    from pathology.tasks.lizard.sums import FIELDS

    from benchmarks.comparison import nuclear_pair

    first, second = nuclear_pair(np.random.default_rng(0), 200, 0.0, 0.5, 0.9)
    true = [sums[..., FIELDS.index("tp")] + sums[..., FIELDS.index("fn")] for sums in (first, second)]
    assert (true[0] == true[1]).all()
    ours, theirs = (measures(sums.sum(axis=0)[None])[0][: len(OVERALL)] for sums in (first, second))
    assert (ours > theirs).all()


def test_what_gates_ask_for_is_printed(monkeypatch, capsys):
    from benchmarks import comparison

    monkeypatch.setattr(comparison, "SIZES", ((30, 5),))
    monkeypatch.setattr(comparison, "SHAPES", ("normal",))
    monkeypatch.setattr(comparison, "AREAS", (0.8,))
    monkeypatch.setattr(comparison, "CORRELATIONS", (0.9,))
    monkeypatch.setattr(comparison, "SOURCES", (20,))
    monkeypatch.setattr(comparison, "TRUTH", 200)
    comparison.main(pairs=20, test_sets=3, resamples=20, table=True)
    printed = capsys.readouterr().out
    figures = json.loads(printed.splitlines()[-1])
    assert printed.startswith("| Items / positives |") and "| 30 / 5 | normal | 0.80, 0.80 | 0.90 |" in printed
    assert figures["needed_msi_65"] == pytest.approx(0.803) and figures["equal_passes_noninferior_highest"] < 0.35
    assert {"coverage_paired_30_lowest", "coverage_paired_nuclei_20_lowest", "coverage_paired_nuclei_classes_20_lowest"} <= set(
        figures
    )
