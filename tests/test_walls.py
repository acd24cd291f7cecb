"""The walls of the house: authoring never imports what jobs compute with, jobs know nothing of authoring."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "torchvision", "timm", "cucim", "cupy", "h5py", "lightning", "torchmetrics", "peft", "openslide", "tifffile"}
CONTRACTS_MAY = set(sys.stdlib_module_names) | {"pydantic", "numpy", "scipy", "pathology"}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def crossings(path: Path) -> list[str]:
    place = path.relative_to(REPOSITORY).parts
    found = []
    for name in imports(path):
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


SOURCES = sorted(path for top in ("pipelines", "steps", "containers/pathology") for path in (REPOSITORY / top).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_wall_is_crossed(path):
    assert crossings(path) == []


def test_a_crossing_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "REPOSITORY", tmp_path)
    bad = tmp_path / "pipelines" / "bad.py"
    bad.parent.mkdir()
    bad.write_text("def f():\n    import torch\n    from pathology import wsi\n    import sagemaker\n")
    assert len(crossings(bad)) == 3


def test_building_loads_nothing_heavy():
    """At run time too: whatever an import pulls in by way of others."""
    script = (
        "import sys\n"
        "from pipelines.builder import build\n"
        "from pipelines.config import LOCAL, load_task\n"
        "build('msi', load_task('msi', LOCAL), LOCAL)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
