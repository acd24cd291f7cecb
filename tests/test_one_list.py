"""The tasks are named together in one place: pipelines/tasks/__init__.py. Every other list is read from it."""

import ast
import re
import subprocess

import pytest

from pipelines.tasks import NAMES
from tests.made import REPOSITORY

WORD = re.compile(rf"(?<![a-z])({'|'.join(NAMES)})(?![a-z])")
"""A task's name alone or between hyphens and underscores, as in train_msi_tcga; the words of class names are another matter."""
PLAIN_TEXT = {".yml", ".yaml", ".sh", ".toml", ".cfg", ".ini", ".txt", "", ".example"}
APART = ("tests/", "docs/", "README.md", ".secrets.baseline", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff")


def tracked():
    """The project's files but tests and what is written for people."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, check=True
    )
    paths = [path for path in listed.stdout.decode().split("\0") if path and not path.startswith(APART)]
    return [path for path in paths if (REPOSITORY / path).is_file()]


def named(text):
    return set(WORD.findall(text))


def text_of(node):
    """What a literal spells, an f-string's fixed parts too."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value for part in node.values if isinstance(part, ast.Constant))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def lists_of_tasks(source):
    """Line and text of every literal, sequence or mapping of a Python source that names two tasks or more; docstrings aside."""
    tree = ast.parse(source)
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant() | ast.JoinedStr() if node not in docstrings and len(named(text_of(node))) > 1:
                yield node.lineno, text_of(node)
            case ast.Tuple() | ast.List() | ast.Set():
                members = {name for element in node.elts for name in named(text_of(element))}
                if len(members) > 1:
                    yield node.lineno, ast.unparse(node)
            case ast.Dict():
                for part in (node.keys, node.values):
                    members = {name for element in part if element is not None for name in named(text_of(element))}
                    if len(members) > 1:
                        yield node.lineno, ast.unparse(node)


def test_one_list_names_the_tasks():
    sources = [path for path in tracked() if path.endswith(".py")]
    assert len(sources) > 200
    found = [(path, text) for path in sources for _, text in lists_of_tasks((REPOSITORY / path).read_text())]
    assert found == [("pipelines/tasks/__init__.py", str(NAMES))]


def test_no_other_file_lists_them():
    """A shell script, a template or the Makefile names at most one task outside its comments."""
    files = [path for path in tracked() if (REPOSITORY / path).suffix in PLAIN_TEXT or path == "Makefile"]
    assert "Makefile" in files and "infra/platform-stack.yml" in files
    for path in files:
        lines = [line.partition("#")[0] for line in (REPOSITORY / path).read_text().splitlines()]
        assert len(named("\n".join(lines))) < 2, path


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('TASKS = ("msi", "mhist")', 1),
        ('KINDS = {"msi": 1, "lizard": 2}', 1),
        ('KINDS = {1: "train_msi_tcga", 2: "evaluate_lizard"}', 1),
        ('HELP = "such as msi, mhist or lizard"', 1),
        ('HELP = f"such as msi or {x} or lizard"', 1),
        ('"""msi and mhist."""\nX = 1\n"""msi, lizard"""', 0),
        ('def f():\n    """msi or mhist"""\n    return ("msi", "other")', 0),
    ],
)
def test_a_list_of_tasks_is_seen(source, count):
    assert len(list(lists_of_tasks(source))) == count
