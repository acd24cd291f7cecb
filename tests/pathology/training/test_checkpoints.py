"""A checkpoint's name follows all that decides the weights."""

from pathology.contracts.mhist.train import TrainMhist

SETTINGS, INPUTS = TrainMhist(), {"patches": "1", "images": "2"}


def test_all_that_decides_the_weights_is_in_the_key():
    """Each of these alone; and the same again is the same."""
    from pathology.training.checkpoints import checkpoint_key

    keys = [
        checkpoint_key("train_mhist", SETTINGS, INPUTS, "e"),
        checkpoint_key("train_lizard", SETTINGS, INPUTS, "e"),
        checkpoint_key("train_mhist", SETTINGS.model_copy(update={"seed": 1}), INPUTS, "e"),
        checkpoint_key("train_mhist", SETTINGS, {**INPUTS, "patches": "3"}, "e"),
        checkpoint_key("train_mhist", SETTINGS, INPUTS, "f"),
        checkpoint_key("train_mhist", SETTINGS, INPUTS, "e", processes=2),
    ]
    assert len(set(keys)) == len(keys)
    assert checkpoint_key("train_mhist", SETTINGS, dict(reversed(INPUTS.items())), "e") == keys[0]
