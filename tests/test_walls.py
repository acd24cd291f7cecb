"""The walls of the house: authoring never imports what jobs compute with, jobs know nothing of authoring.

What sources import; tests/pipelines/test_builder.py holds what is loaded at run time.
"""

import sys
from pathlib import Path

import pytest

from tests.made import imported

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "torchvision", "timm", "cucim", "cupy", "h5py", "lightning", "torchmetrics", "peft", "openslide", "tifffile"}
CONTRACTS_MAY = set(sys.stdlib_module_names) | {"pydantic", "numpy", "scipy", "pathology"}


def crossings(path: Path) -> list[str]:
    place = path.relative_to(REPOSITORY).parts
    found = []
    for name in set(imported(path)):
        root = name.split(".")[0]
        if place[0] in ("pipelines", "steps"):
            if root in HEAVY:
                found.append(f"{name}: authoring never imports it")
            if root == "pathology" and name != "pathology" and not name.startswith("pathology.contracts"):
                found.append(f"{name}: only pathology.contracts crosses the wall")
            if place[0] == "steps" and root == "pipelines":
                found.append(f"{name}: steps do not know pipelines")
            if root == "sagemaker" and place != ("steps", "sdk.py"):
                found.append(f"{name}: the SDK is imported in steps/sdk.py alone")
        if place[:2] == ("containers", "pathology"):
            if root in ("pipelines", "steps", "sagemaker", "demo"):
                found.append(f"{name}: jobs know nothing of authoring")
            if place[2] == "contracts" and root not in CONTRACTS_MAY:
                found.append(f"{name}: contracts stay light")
            if place[2] == "contracts" and root == "pathology" and not (name + ".").startswith("pathology.contracts."):
                found.append(f"{name}: contracts stand on themselves")
    return found


@pytest.mark.parametrize("top", ["pipelines", "steps", "containers/pathology"])
def test_no_wall_is_crossed(top):
    sources = sorted((REPOSITORY / top).rglob("*.py"))
    assert sources
    assert [f"{path.relative_to(REPOSITORY)}: {crossing}" for path in sources for crossing in crossings(path)] == []


def test_a_crossing_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "REPOSITORY", tmp_path)
    bad = tmp_path / "pipelines" / "bad.py"
    bad.parent.mkdir()
    bad.write_text("def f():\n    import torch\n    from pathology import wsi\n    import sagemaker\n")
    assert len(crossings(bad)) == 3
