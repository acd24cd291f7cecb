"""The walls of the house: authoring never imports what jobs compute with, jobs know nothing of authoring; no task imports another,
and nothing shared imports a task.

What sources import; tests/pipelines/test_builder.py holds what is loaded at run time.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pathology.contracts.code import closure

from pipelines.tasks import NAMES, task_spec
from tests.made import imported

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "torchvision", "timm", "cucim", "cupy", "h5py", "lightning", "torchmetrics", "peft", "openslide", "tifffile"}
CONTRACTS_MAY = set(sys.stdlib_module_names) | {"pydantic", "numpy", "scipy", "pathology"}


def task_of(parts: Sequence[str]) -> str | None:
    """Whose a module of ``pathology`` is, by its dotted name's parts below the package: a task's, or shared by all (None)."""
    match parts:
        case ["tasks" | "contracts", name, *_] if name in NAMES:
            return name
        case ["commands", command]:
            return next((name for name in NAMES if name in command.split("_")), None)
    return None


def task_crossings(path: Path, root: Path) -> list[str]:
    """A task's rooms are its tasks/<task>/, contracts/<task>/ and commands/<step>_<task>: imported by itself alone."""
    mine = task_of(path.relative_to(root).with_suffix("").parts)
    owners = {name: task_of(name.split(".")[1:]) for name in set(imported(path)) if name.startswith("pathology.")}
    return [
        f"{name}: is {owner}'s, and {mine or 'what is shared'} imports it"
        for name, owner in owners.items()
        if owner not in (None, mine)
    ]


def crossings(path: Path) -> list[str]:
    place = path.relative_to(REPOSITORY).parts
    found = []
    if place[:2] == ("containers", "pathology"):
        found += task_crossings(path, REPOSITORY / "containers" / "pathology")
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


@pytest.mark.parametrize("name", NAMES)
def test_what_authoring_loads_of_a_task_to_compare_its_models_is_as_light_as_contracts(name):
    """``compare`` imports it by its name in the task: a door in the wall, so that job and verb compare by the same code."""
    root = REPOSITORY / "containers"
    loaded = [root / path for path in closure(task_spec(name).comparable.partition(":")[0]).files if path.endswith(".py")]
    assert len(loaded) > 10
    heavy = {
        f"{path.relative_to(root)}: {module}"
        for path in loaded
        for module in imported(path)
        if module.split(".")[0] not in CONTRACTS_MAY
    }
    assert heavy == set()


def test_a_crossing_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "REPOSITORY", tmp_path)
    bad = tmp_path / "pipelines" / "bad.py"
    bad.parent.mkdir()
    bad.write_text("def f():\n    import torch\n    from pathology import wsi\n    import sagemaker\n")
    assert len(crossings(bad)) == 3


@pytest.mark.parametrize(
    ("path", "text", "crossing"),
    [
        (
            "tasks/msi/training.py",
            "from pathology.tasks.mhist import artefact",
            "pathology.tasks.mhist: is mhist's, and msi imports it",
        ),
        ("commands/train_lizard.py", "import pathology.contracts.msi.train", "is msi's, and lizard imports it"),
        ("wsi/grid.py", "from pathology.contracts.msi.train import TrainMsi", "is msi's, and what is shared imports it"),
        ("commands/serve.py", "def f():\n    import pathology.tasks.mhist.serving", "is mhist's, and what is shared imports it"),
        ("commands/evaluate_msi.py", "from pathology.tasks.msi import serving\nfrom pathology import tasks", None),
    ],
)
def test_a_crossing_between_tasks_is_seen(tmp_path, path, text, crossing):
    module = tmp_path / path
    module.parent.mkdir(parents=True)
    module.write_text(text)
    found = task_crossings(module, tmp_path)
    assert bool(found) == (crossing is not None)
    assert crossing is None or any(crossing in line for line in found)
