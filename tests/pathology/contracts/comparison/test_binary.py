"""Two binary classifiers on the same items: which items count, what is counted, and when nothing can be said."""

import numpy as np
import pytest
from pathology.contracts.comparison.binary import MIN_OF_CLASS, Answer, Answers, compare_binary
from pathology.contracts.comparison.result import PairedComparison
from pathology.contracts.errors import DataError
from pathology.contracts.intervals.paired import area_difference, mean_of_differences, proportion_difference
from scipy.stats import binomtest


def answers(name, probability, labels, threshold=0.5, learned=frozenset(), **columns):
    """A model's answers for items 00, 01, …; ``columns`` are contents and groups by item."""
    rows = [
        Answer(item=f"{k:02}", label=int(label), probability=float(each), **{key: values[k] for key, values in columns.items()})
        for k, (each, label) in enumerate(zip(probability, labels, strict=True))
    ]
    return Answers(name=name, threshold=threshold, rows=rows, learned=learned)


@pytest.fixture
def made():
    """Labels (40,), 12 of them positive, and two models' probabilities."""
    generator = np.random.default_rng(4)
    labels = np.repeat([0, 1], [28, 12])
    first = np.clip(0.35 + 0.3 * labels + generator.normal(0, 0.15, 40), 0, 1)
    return labels, first, np.clip(first + generator.normal(0, 0.15, 40), 0, 1)


def test_scores_and_counts_are_those_of_the_items(made):
    labels, first, second = made
    found = compare_binary(answers("A", first, labels), answers("B", second, labels, threshold=0.4), unit="patients")
    assert found.comparable and (found.n, found.positives, found.by_id_alone, found.learning_unknown) == (40, 12, 40, [])
    expected = area_difference(labels, first, second)
    auroc = found.scores["auroc"]
    assert auroc.first - auroc.second == pytest.approx(auroc.difference) == pytest.approx(expected.value)
    assert (auroc.bounds.low, auroc.bounds.high, auroc.method) == (expected.low, expected.high, expected.method)
    ours, theirs = (first >= 0.5) == (labels == 1), (second >= 0.4) == (labels == 1)

    def counted(here):
        pairs = list(zip(ours[here], theirs[here], strict=True))
        return [pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]

    of_class = [proportion_difference(*counted(labels == label)) for label in (1, 0)]
    for name, expected in zip(("sensitivity", "specificity"), of_class, strict=True):
        assert (found.scores[name].difference, found.scores[name].bounds.low) == (expected.value, expected.low)
    assert found.scores["sensitivity"].first == ours[labels == 1].mean()
    assert found.scores["balanced_accuracy"].bounds.high == pytest.approx(mean_of_differences(*of_class).high)
    both, only_first, only_second, neither = counted(np.ones(40, bool))
    agreement = found.agreement
    assert (agreement.both_right, agreement.only_first, agreement.only_second, agreement.both_wrong) == (
        both,
        only_first,
        only_second,
        neither,
    )
    assert agreement.p_value == pytest.approx(binomtest(only_first, only_first + only_second).pvalue)
    assert found.different_of == len(found.different) == only_first + only_second > 2
    apart = [abs(each.first - each.second) for each in found.different]
    assert apart == sorted(apart, reverse=True)
    assert all(each.first_right == ours[int(each.item)] != theirs[int(each.item)] for each in found.different)
    assert PairedComparison.from_json(found.to_json(), "comparison.json") == found


def test_mcnemars_p_by_hand(made):
    """Of 6 discordant items the first model alone is right on 1: 2 · (1 + 6) / 2⁶."""
    labels = made[0]
    truth = labels.astype(float)
    first, second = truth.copy(), truth.copy()
    second[0], first[1:6] = 1 - second[0], 1 - first[1:6]
    agreement = compare_binary(answers("A", first, labels), answers("B", second, labels), unit="patients").agreement
    assert (agreement.only_first, agreement.only_second) == (1, 5) and agreement.p_value == pytest.approx(14 / 64)


def test_identical_models_do_not_differ(made):
    labels, first, _ = made
    found = compare_binary(answers("A", first, labels), answers("B", first, labels), unit="patients")
    assert {(score.difference, score.bounds.low, score.bounds.high) for score in found.scores.values()} == {(0.0, 0.0, 0.0)}
    assert (found.agreement.p_value, found.different) == (1.0, [])
    other = compare_binary(answers("A", first, labels), answers("B", np.sqrt(first), labels, 0.5**0.5), unit="patients")
    assert all(score.bounds.low < 0 < score.bounds.high for score in other.scores.values())


def test_what_is_left_out_is_counted_and_its_answers_do_not_matter(made):
    labels, first, second = made
    contents = [f"hash{k}" if k % 2 else "" for k in range(40)]
    ours = answers("A", first, labels, content=contents, learned=frozenset({"03", "04", "absent"}))
    changed = labels.copy()
    changed[7] = 1 - changed[7]
    theirs = answers("B", second, changed, content=["other" if k == 5 else each for k, each in enumerate(contents)])
    theirs = Answers(name="B", threshold=0.5, rows=theirs.rows[1:], learned=frozenset({"04", "06"}))
    found = compare_binary(ours, theirs, unit="patients")
    assert found.left_out.model_dump() == {
        "only_first": 1,
        "only_second": 0,
        "other_content": 1,
        "other_truth": 1,
        "learned_by_first": 2,
        "learned_by_second": 1,
    }
    left = [k for k in range(40) if k not in (0, 3, 4, 5, 6, 7)]
    assert (found.n, found.by_id_alone) == (34, len([k for k in left if k % 2 == 0]))
    expected = area_difference(labels[left], first[left], second[left])
    assert found.scores["auroc"].bounds.low == pytest.approx(expected.low)
    assert "2 that the first model was trained on" in str(found.left_out)


def test_few_items_or_one_class_are_not_comparable(made):
    labels, first, second = made
    few = compare_binary(answers("A", first[-29:], labels[-29:]), answers("B", second[-29:], labels[-29:]), unit="patches")
    assert not few.comparable and few.scores == {} and few.agreement is None
    assert few.reason == "29 patches in common, and it takes 30 (left out: none)"
    learned = frozenset(f"{k:02}" for k in range(28, 40))
    one = compare_binary(answers("A", np.tile(first, 2), np.tile(labels, 2), learned=None), answers("B", np.tile(second, 2), np.tile(labels, 2), learned=learned | {f"{k}" for k in range(68, 80)}), unit="patches")  # fmt: skip
    assert not one.comparable and "the 56 patches in common are all of one class" in one.reason
    assert one.learning_unknown == ["A"] and "24 that the second model was trained on" in one.reason
    nothing = compare_binary(answers("A", [], []), answers("B", first, labels), unit="patches")
    assert not nothing.comparable and nothing.left_out.only_second == 40


def test_too_few_of_a_class_have_no_interval(made):
    _, first, second = made
    labels = np.repeat([0, 1], [40 - MIN_OF_CLASS + 1, MIN_OF_CLASS - 1])
    score = compare_binary(answers("A", first, labels), answers("B", second, labels), unit="patients").scores["auroc"]
    assert score.bounds is None and "fewer than 5" in score.method and score.difference == score.first - score.second


def test_sites_have_differences_and_no_interval(made):
    labels, first, second = made
    sites = ["A6" if k < 10 else "CM" if k < 38 else "" for k in range(40)]
    found = compare_binary(answers("A", first, labels, group=sites), answers("B", second, labels), unit="patients")
    assert [(row.name, row.n, row.positives) for row in found.groups] == [("CM", 28, 10), ("A6", 10, 0)]
    here = slice(10, 38)
    expected = area_difference(labels[here], first[here], second[here]).value
    assert found.groups[0].scores["auroc"].difference == pytest.approx(expected)
    assert all(score.bounds is None for row in found.groups for score in row.scores.values())
    assert found.groups[1].scores["auroc"].difference is None and found.groups[1].scores["sensitivity"].first is None
    assert found.groups[1].scores["specificity"].difference is not None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Answer(item="x", label=0, probability=0.1)] * 2, "B: x is answered twice"),
        ([Answer(item="x", label=2, probability=0.1)], "B: x has the label 2"),
        ([Answer(item="x", label=1, probability=float("nan"))], "the probability nan"),
        ([Answer(item="x", label=1, probability=1.2)], "the probability 1.2"),
    ],
)
def test_rows_that_cannot_be(made, rows, message):
    labels, first, _ = made
    with pytest.raises(DataError, match=message):
        compare_binary(answers("A", first, labels), Answers(name="B", threshold=0.5, rows=rows, learned=None), unit="patients")
