"""Nuclei drawn for the tests, and the real patches."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def real_labels(shared_data):
    """(10, 256, 256, 2) uint16: instance and class of ten real patches."""
    return np.load(shared_data / "nuclei" / "labels.npy", allow_pickle=False)


@pytest.fixture(scope="session")
def draw_nuclei():
    """A function (height, width, seed, largest) → (H, W) int32 of ellipses that touch and overlap, ids with gaps."""

    def draw(height, width, seed=0, largest=14):
        generator = np.random.default_rng(seed)
        instance_map = np.zeros((height, width), np.int32)
        rows, columns = np.ogrid[:height, :width]
        for number in range(1, max(2, height * width // 400)):
            y, x = generator.uniform(0, height), generator.uniform(0, width)
            long = generator.uniform(4, largest)
            short, angle = long * generator.uniform(0.5, 1), generator.uniform(0, np.pi)
            along = (rows - y) * np.cos(angle) + (columns - x) * np.sin(angle)
            across = (columns - x) * np.cos(angle) - (rows - y) * np.sin(angle)
            instance_map[(along / long) ** 2 + (across / short) ** 2 <= 1] = 2 * number
        return instance_map

    return draw
