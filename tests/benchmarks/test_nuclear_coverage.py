"""The simulation of nuclear scores: its test sets are what they say, and few of them give figures of the right kind."""

import numpy as np
import pytest
from pathology.tasks.lizard.images import image_values
from pathology.tasks.lizard.scores import OVERALL, measures
from pathology.tasks.lizard.sums import FIELDS

from benchmarks import nuclear_coverage
from benchmarks.nuclear_coverage import PROCESS, names, source_images


def field(sums, name):
    return sums[..., FIELDS.index(name)]


def test_source_images_add_up():
    sums = source_images(np.random.default_rng(0), 300, 0.0)
    assert sums.shape == (300, 7, len(FIELDS)) and (field(sums, "patches") == field(sums, "patches")[:, :1]).all()
    assert (field(sums, "patches") >= 1).all() and 15 < field(sums, "patches")[:, 0].mean() < 27
    tp, fp, fn = (field(sums, name) for name in ("tp", "fp", "fn"))
    assert ((tp + fn)[:, :-1].sum(axis=1) == (tp + fn)[:, -1]).all()  # nuclei of any class are those of all classes
    assert ((tp + fp)[:, :-1].sum(axis=1) == (tp + fp)[:, -1]).all()
    assert (field(sums, "paired_6") <= field(sums, "paired_12")).all() and (tp <= field(sums, "paired_6")).all()
    shares = (tp + fn)[:, :-1].sum(axis=0) / (tp + fn)[:, -1].sum()
    assert shares == pytest.approx(PROCESS.frequencies, abs=0.04)


def test_an_outlying_process_is_worse():
    alike, outlying = (measures(source_images(np.random.default_rng(1), 2000, rate).sum(axis=0)[None])[0] for rate in (0.0, 0.3))
    assert (outlying[: len(OVERALL)] < alike[: len(OVERALL)]).all()
    assert 0.4 < alike[0] < 0.7 and len(names()) == len(alike) + 4


def test_the_truth_is_that_of_many_source_images(monkeypatch):
    monkeypatch.setattr(nuclear_coverage, "POPULATION", 300)
    monkeypatch.setattr(nuclear_coverage, "PIECE", 150)
    truth = nuclear_coverage.truths(0.0)
    generator = np.random.default_rng(1)
    both = [source_images(generator, 150, 0.0) for _ in range(2)]
    assert truth[: len(OVERALL)] == pytest.approx(measures(np.concatenate(both).sum(axis=0)[None])[0][: len(OVERALL)], abs=1e-12)
    assert truth[-4:] == pytest.approx(np.mean([np.nanmean(image_values(each), axis=0) for each in both], axis=0), abs=1e-12)


def test_figures_of_few_test_sets(monkeypatch, capsys):
    """Nearly all of 20 intervals hold the truth, and by chance alone fewer than 15 do once in 3,000 times."""
    for name, value in (("POPULATION", 1000), ("PIECE", 500), ("NUMBERS", (20, 4))):
        monkeypatch.setattr(nuclear_coverage, name, value)
    nuclear_coverage.main(cohorts=20, resamples=100, show=True)
    printed = capsys.readouterr().out
    assert printed.startswith("| | 20 | 4 |\n|---|---|---|\n| bpq | ")
    assert '"nuclei_mpq_plus_20": ' in printed and '"nuclei_lowest": ' in printed and '"nuclei_r2_percentile_20": ' in printed
    assert "| r2 |" not in printed  # no method covers it
    halfwidth = float(printed.partition('"nuclei_halfwidth_highest": ')[2].partition(",")[0])
    assert 0.7 < halfwidth < 3  # 20 estimates give their own deviation within a third
    lowest = float(printed.rpartition('"nuclei_lowest": ')[2].rstrip("}\n"))
    assert 0.75 <= lowest <= 1
