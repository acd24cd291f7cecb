"""What is made once: one maker among many who ask, another key for other sources or inputs, and nobody changes it unseen."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests import made


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a module of tests that makes a file, a helper beside it and a module of ``pathology``."""
    monkeypatch.setattr(made, "REPOSITORY", tmp_path)
    monkeypatch.setattr(made, "MADE", tmp_path / ".made")
    monkeypatch.setattr(made, "ROOTS", {"pathology": tmp_path / "containers", "tests": tmp_path})
    made.sources.cache_clear()
    for name, text in {
        "constraints.txt": "numpy==2\n",
        "tests/maker.py": "import helper\n\ndef make(folder):\n    from pathology.models import tiny\n\n    (folder / 'a').write_text('a')\n",
        "tests/helper.py": "",
        "containers/pathology/__init__.py": "",
        "containers/pathology/models/__init__.py": "",
        "containers/pathology/models/tiny.py": "",
        "containers/pathology/models/page.j2": "",
        "containers/pathology/models/other.py": "",
        "also/default.yaml": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    made.sources.cache_clear()


@pytest.fixture
def keyed(checkout):
    """A function that gives the key of ``maker.py`` as it is now."""

    def key(inputs=None):
        made.sources.cache_clear()
        return made.key(checkout / "tests/maker.py", inputs, ("also",))

    return key


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ("tests/maker.py", True),
        ("tests/helper.py", True),
        ("containers/pathology/models/tiny.py", True),
        ("containers/pathology/models/__init__.py", True),
        ("containers/pathology/models/page.j2", True),
        ("also/default.yaml", True),
        ("constraints.txt", True),
        ("containers/pathology/models/other.py", False),
    ],
)
def test_the_key_follows_what_it_is_made_of_and_nothing_else(checkout, keyed, changed, differs):
    before = keyed()
    with (checkout / changed).open("a") as file:
        file.write("# more\n")
    assert (keyed() != before) == differs


def test_the_key_follows_the_inputs(keyed):
    assert len({keyed(), keyed({"epochs": 1}), keyed({"epochs": 2})}) == 3


def test_an_import_that_the_key_cannot_follow_is_refused(checkout, keyed):
    (checkout / "tests/helper.py").write_text("from . import other\n")
    with pytest.raises(AssertionError, match=r"helper\.py: import by full name"):
        keyed()


@pytest.fixture
def maker(checkout):
    """A make function, and how often it was called."""
    specification = importlib.util.spec_from_file_location("maker", checkout / "tests/maker.py")
    module = importlib.util.module_from_spec(specification)
    calls = []
    source = "def make(folder):\n    calls.append(folder)\n    (folder / 'a').write_text('a')\n"
    (checkout / "tests/maker.py").write_text(source)
    module.calls = calls
    specification.loader.exec_module(module)
    return module


def test_one_of_many_makes_it_and_all_read_it(maker):
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: made.made_once("thing", maker.make), range(8)))
    assert len(maker.calls) == len(folders) == 1
    assert (folders.pop() / "a").read_text() == "a"


def test_what_a_test_has_changed_is_said_and_made_again(maker):
    folder = made.made_once("thing", maker.make)
    (folder / "a").write_text("other")
    with pytest.raises(AssertionError, match=r"a test has changed a in thing-"):
        made.made_once("thing", maker.make)
    assert (made.made_once("thing", maker.make) / "a").read_text() == "a"


def test_a_making_that_fails_leaves_nothing_that_looks_made(maker):
    def fails(folder):
        (folder / "half").touch()
        raise OSError("no room")

    maker.calls = SimpleNamespace(append=fails)
    with pytest.raises(OSError, match="no room"):
        made.made_once("thing", maker.make)
    maker.calls = []
    assert sorted(path.name for path in made.made_once("thing", maker.make).iterdir()) == [made.CONTENTS, "a"]
