"""What mhist's classifier learns: hard labels or votes, and as a negative control those of other patches of the same side."""

import numpy as np
import pytest
from patch_sets import write_patches
from pathology.contracts.errors import RequestError
from pathology.contracts.mhist.train import TrainMhist


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    return folder, write_patches(folder, {"train": 40})


def side(prepared, number=0, **settings):
    from pathology.tasks.mhist.training import training_side

    root, rows = prepared
    return training_side(rows, root, 224, TrainMhist(**settings), number)


def test_labels_are_hard_and_votes_where_they_are_asked_for(prepared):
    _, rows = prepared
    hard, soft = side(prepared), side(prepared, soft_labels=True)
    assert hard.labels.tolist() == soft.labels.tolist() == hard.targets.tolist() == [row.label for row in rows]
    assert soft.targets.tolist() == [row.votes / 7 for row in rows]
    assert hard.hashes == [row.sha256 for row in rows] and hard.patches[0].shape == (224, 224, 3)


def test_permuted_labels_and_votes_move_together_and_each_side_has_its_own_order(prepared):
    _, rows = prepared
    votes = side(prepared, soft_labels=True, shuffle_labels=True)
    assert votes.hashes == [row.sha256 for row in rows]
    assert sorted(votes.targets * 7) == sorted(row.votes for row in rows)
    assert ((votes.targets > 0.5) == (votes.labels == 1)).all()
    first, again, other, seeded = (
        side(prepared, number, shuffle_labels=True, seed=seed).labels for number, seed in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    assert np.array_equal(first, votes.labels) and np.array_equal(first, again)
    assert not np.array_equal(first, other) and not np.array_equal(first, seeded)
    assert 0.2 < np.mean(first == side(prepared).labels) < 0.8


def test_soft_labels_need_votes(prepared):
    root, rows = prepared
    without = root, [row.model_copy(update={"votes": None}) for row in rows]
    assert side(without).targets.tolist() == [row.label for row in rows]
    with pytest.raises(RequestError, match="soft-labels: the table has no annotators' votes to learn from"):
        side(without, soft_labels=True)
