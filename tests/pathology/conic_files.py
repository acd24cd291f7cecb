"""CoNIC's four files as tests harm them: what is refused, and an array saved again after a change."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.tasks.lizard.conic import read_conic

PATCHES = 6


def refused(folder, message, classes=LIZARD_CLASSES):
    with pytest.raises(DataError, match=message) as caught:
        read_conic(folder, classes)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def resave(folder, name, change, **options):
    """Save an array again after ``change`` made another of it."""
    array = change(np.load(folder / name))
    np.save(folder / name, array, **options)
