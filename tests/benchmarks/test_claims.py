"""The simulated hosts claim every slide once, end no sooner than the bound, and sooner than fixed partitions."""

import json

import pytest

from benchmarks import claims
from benchmarks.claims import bound, by_key, by_size, claiming, fixed, killed_and_retried, make_cohort, sizes, starts, times


@pytest.fixture(scope="module")
def cohort():
    """120 slides of which every eighth is large, so that every partition by key among 8 hosts is all large or all small."""
    return make_cohort([900_000_000] + [90_000_000] * 7, 120)


@pytest.fixture(scope="module")
def seconds(cohort):
    return times(cohort, 1)


@pytest.mark.parametrize("ahead", ["late", "early", "never"])
@pytest.mark.parametrize("hosts", [1, 3, 8, 64, 200])
def test_every_slide_is_extracted_once_and_not_before_the_bound(cohort, seconds, hosts, ahead):
    outcome = claiming(cohort, seconds, hosts, ahead=ahead)
    assert sorted(name for name, _, _ in outcome.done) == sorted(row.slide_id for row in cohort)
    assert outcome.makespan >= bound(seconds, hosts)
    assert all(end - begin == pytest.approx(seconds[name]) for name, begin, end in outcome.done)
    assert 0 <= outcome.stall_fraction < 1


def test_claiming_beats_fixed_partitions(cohort, seconds):
    claimed = claiming(cohort, seconds, 8).makespan
    assert claimed < fixed(by_size(cohort, 8), seconds).makespan < fixed(by_key(cohort, 8), seconds).makespan


def test_holding_ahead_spares_waiting(cohort, seconds):
    held, without = claiming(cohort, seconds, 8), claiming(cohort, seconds, 8, ahead="never")
    assert held.stall_fraction < without.stall_fraction


def test_fixed_partitions_hold_every_slide_once(cohort):
    for partitions in (by_key(cohort, 7), by_size(cohort, 7)):
        assert sorted(row.slide_id for partition in partitions for row in partition) == sorted(row.slide_id for row in cohort)


def test_requests_do_not_grow_with_the_hosts(cohort, seconds):
    few, many = (claiming(cohort, seconds, hosts).requests / len(cohort) for hosts in (2, 32))
    assert few < 4 and many < 8  # trying every row would take 64 on 32 hosts


def test_after_a_kill_nothing_is_lost_or_done_again_and_ten_added_slides_cost_ten(cohort, seconds):
    assert killed_and_retried(cohort, seconds, 8) == {"after_kill_lost": 0, "after_kill_again": 0}
    finished = [row.slide_id for row in cohort[:-10]]
    done = claiming(cohort, seconds, 8, finished=finished).done
    assert sorted(name for name, _, _ in done) == [row.slide_id for row in cohort[-10:]]


def test_the_same_seed_gives_the_same_run(cohort, seconds):
    assert claiming(cohort, seconds, 8, seed=3).done == claiming(cohort, times(cohort, 1), 8, seed=3).done
    assert starts(8, 3) == starts(8, 3) != starts(8, 4)


def test_sizes_have_the_range_of_the_manifest_with_and_without_it(monkeypatch, tmp_path):
    monkeypatch.setattr(claims, "MANIFEST", tmp_path / "absent.txt")
    assert len(sizes()) == claims.SLIDES
    assert min(sizes()) >= claims.MIN_BYTES and max(sizes()) <= claims.MAX_BYTES
    manifest = tmp_path / "manifest.txt"
    manifest.write_text("id\tfilename\tmd5\tsize\tstate\na\ta.svs\t0\t17\treleased\nb\tb.svs\t0\t23\treleased\n")
    monkeypatch.setattr(claims, "MANIFEST", manifest)
    assert sizes() == [17, 23]
    assert [row.bytes for row in make_cohort(sizes(), 5)] == [17, 23, 17, 23, 17]


def test_it_ends_with_its_figures_as_json(capsys):
    claims.claims(slides=80, large=120, seeds=2)
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    for hosts in (4, 16, 64):
        assert 1 <= figures[f"makespan_over_bound_{hosts}"] <= figures[f"makespan_over_bound_worst_{hosts}"]
        assert figures[f"makespan_over_bound_{hosts}_120"] >= 1
        assert figures[f"by_key_over_bound_{hosts}"] >= 1
    assert (figures["after_kill_lost"], figures["after_kill_again"], figures["ten_added_extracted"]) == (0, 0, 10)
