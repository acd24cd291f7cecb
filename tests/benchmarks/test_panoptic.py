"""The benchmark runs and prints what it promises, and would notice a loop that disagrees."""

import json

import pytest

from benchmarks import panoptic
from benchmarks.panoptic import NUCLEI, by_loop, check, make_patches


def test_it_ends_with_its_figures_as_json(capsys):
    panoptic.panoptic(patches=2, sample=1, repeats=1)
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {
        "ratio_pairwise_loop",
        "ratio_overlapping_loop",
        "seconds_2_patches",
        "seconds_2_patches_all",
        "seconds_bootstrap",
    } <= set(figures)
    assert (figures["patches"], figures["nuclei_per_patch"]) == (2, NUCLEI)
    assert 0.2 < figures["mean_pq"] < 0.8  # neither trivial nor hopeless


def test_a_loop_that_differs_is_an_error(monkeypatch):
    pairs = list(make_patches(1))
    check(pairs)
    monkeypatch.setattr(panoptic, "by_loop", lambda true, predicted, *, overlapping: by_loop(true, true, overlapping=overlapping))
    with pytest.raises(RuntimeError, match="patch 0: .* must be the same"):
        check(pairs)
