"""CoNIC's four files and patches to score, made once a module."""

import shutil

import pytest
from conic_files import PATCHES
from nuclear_scores import CLASSES, made_patches

from demo.nuclei import make_nuclei


@pytest.fixture(scope="module")
def conic_folder(tmp_path_factory):
    """The four files; not to be changed."""
    top = tmp_path_factory.mktemp("conic")
    make_nuclei(top, PATCHES, seed=1, sources=3)
    return top


@pytest.fixture
def copied(conic_folder, tmp_path):
    """The four files, to do harm to."""
    return shutil.copytree(conic_folder, tmp_path / "copied")


@pytest.fixture(scope="module")
def scored():
    """Patches as :func:`nuclear_scores.made_patches` makes them."""
    return made_patches()


@pytest.fixture(scope="module")
def rows(scored):
    """Their rows of predictions.csv."""
    from pathology.tasks.lizard.rows import patch_rows

    return [row for patch in scored for row in patch_rows(*patch, CLASSES, central=32)]
