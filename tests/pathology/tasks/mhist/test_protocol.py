"""What may be laid beside eva's leaderboard: a run that followed its protocol in all, and no other."""

from types import SimpleNamespace

import pytest
from pathology.contracts.evaluation import compare
from pathology.contracts.intervals import Interval
from pathology.contracts.mhist.evaluate import PUBLISHED_RESULTS, UNIT, by_protocol

INTERVALS = {name: Interval(0.9, 0.88, 0.92, 0.01) for name in ("balanced_accuracy", "accuracy", "auroc")}
EVAS = [row.source.startswith("eva") for row in PUBLISHED_RESULTS]


def report(published_partition=True, patches=2175, encoder="h-optimus-0", shuffled="false", eva=True):
    from pathology.patches.eva import EVA
    from pathology.tasks.mhist.artefact import EvaRunRecord, EvaTraining
    from pathology.tasks.mhist.protocol import eva_report

    runs = tuple(
        EvaRunRecord(seed=seed, epoch=10, balanced_accuracy=value) for seed, value in enumerate((0.84, 0.85, 0.83, 0.86, 0.82))
    )
    values = {name: getattr(EVA, name) for name in ("steps", "batch_size", "learning_rate", "weight_decay", "patience")}
    config = SimpleNamespace(
        eva=EvaTraining(**values, patches=patches, runs=runs) if eva else None,
        encoder=SimpleNamespace(name=encoder),
        training={"shuffle-labels": shuffled},
    )
    return eva_report(config, published_partition)


def test_a_run_that_followed_it_has_the_published_figure_beside_its_mean():
    found = report()
    assert (found.mean, found.published, found.departures) == (pytest.approx(0.84), 0.843, [])
    assert [run.seed for run in found.runs] == [0, 1, 2, 3, 4]
    assert report(encoder="another").published is None
    assert report(eva=False) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"published_partition": False}, "not those of MHIST's own partition"),
        ({"patches": 2000}, "learnt from 2,000 patches, where MHIST's train partition has 2,175"),
        ({"shuffled": "true"}, "Labels were permuted"),
    ],
)
def test_one_that_departed_says_where_and_has_none(changed, words):
    found = report(**changed)
    assert found.published is None and len(found.departures) == 1 and words in found.departures[0]


def test_like_is_compared_with_like():
    rows = compare(PUBLISHED_RESULTS, INTERVALS, UNIT, same_test=True)
    assert all(row.standing for row in rows) and any(EVAS) and not all(EVAS)
    held_out, followed, departed = (by_protocol(rows, eva) for eva in (None, report(), report(patches=2000)))
    assert [row.standing is None for row in held_out] == EVAS
    assert {row.incomparable for row in held_out} == {"", "eva chooses the epoch on the test"}
    assert [row.standing is None for row in followed] == [not eva for eva in EVAS]
    assert {row.incomparable for row in followed} == {"", "here the epoch was chosen on the test"}
    assert all(row.standing is None for row in departed)
    elsewhere = compare(PUBLISHED_RESULTS, INTERVALS, UNIT, same_test=False)
    assert by_protocol(elsewhere, None) == elsewhere  # another test is the first reason
