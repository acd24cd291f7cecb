"""What takes long is made once for all test processes, and found again by the next run while nothing it is made of has changed."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import inspect
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MADE = REPOSITORY / ".made"
ROOTS = {"pathology": REPOSITORY / "containers"} | dict.fromkeys(
    ("pipelines", "steps", "demo", "benchmarks", "tests"), REPOSITORY
)
DATA_SUFFIXES = {".j2", ".css", ".js", ".yaml"}
CONTENTS = ".contents.json"
UNUSED_SECONDS = 24 * 3600
"""What nobody has asked for since is removed when its successor is made."""


def made_once(name: str, make: Callable[[Path], object], inputs: object = None, also: Iterable[str] = ()) -> Path:
    """The folder that ``make(folder)`` filled, read by all: copy it before writing to it.

    Its key is a hash of ``inputs`` (as JSON), of the module that ``make`` stands in and of every module of this repository that is
    imported from there on, wherever in the source, of the libraries' versions and of Python's. ``also`` names files and folders of
    the repository that no import shows. Processes that want the same thing wait for the first of them.

    Raises:
        AssertionError: when a test has changed a file of it.
    """
    source = Path(inspect.getsourcefile(make) or "")
    folder = MADE / f"{name}-{key(source, inputs, tuple(also))}"
    MADE.mkdir(exist_ok=True)
    with (MADE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            beside = MADE / f"{name}.part"
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            make(beside)
            (beside / CONTENTS).write_text(json.dumps(contents(beside)))
            beside.rename(folder)
            remove_unused(name)
        folder.touch()
    now = contents(folder)
    changed = [path for path, state in json.loads((folder / CONTENTS).read_text()).items() if now.get(path) != state]
    if changed:
        shutil.rmtree(folder)
        raise AssertionError(f"a test has changed {changed[0]} in {folder.name}, which others read: let it work on a copy")
    return folder


def key(source: Path, inputs: object, also: tuple[str, ...] = ()) -> str:
    """16 hexadecimal digits; see :func:`made_once`."""
    digest = hashlib.sha256(json.dumps([inputs, sys.version, platform.machine()], sort_keys=True).encode())
    named = [path for entry in also for path in [REPOSITORY / entry, *(REPOSITORY / entry).rglob("*")]]
    named = [path for path in named if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted({*sources(source), *named, REPOSITORY / "constraints.txt"}):
        digest.update(f"{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def sources(first: Path) -> frozenset[Path]:
    """A module's file, those of all that it imports in this repository, and the data files that lie beside them."""
    found: set[Path] = set()
    waiting = [first]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        found |= {beside for beside in path.parent.iterdir() if beside.suffix in DATA_SUFFIXES}
        for name in imported(path):
            waiting += module_files(name, path)
    return frozenset(found)


def imported(path: Path) -> Iterator[str]:
    """Every dotted name that a source may import; ``from a import b`` gives both a and a.b.

    Raises:
        AssertionError: for a relative import, whose name does not say what it is.
    """
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))


def module_files(name: str, importer: Path) -> list[Path]:
    """The files of a module of this repository and of the packages that it lies in; a bare name is looked for beside the importer
    and in the folders above it, as conftest.py files have put them on the path."""
    top, *rest = name.split(".")
    if top in ROOTS:
        bases = [ROOTS[top].joinpath(top, *rest[:depth]) for depth in range(len(rest) + 1)]
    elif not rest and importer.is_relative_to(REPOSITORY / "tests"):
        bases = [folder / top for folder in importer.parents if folder.is_relative_to(REPOSITORY / "tests")]
    else:
        return []
    candidates = [path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py")]
    return [path for path in candidates if path.is_file()]


def contents(folder: Path) -> dict[str, list[int]]:
    """Size and time of change of every file below."""
    files = {path.relative_to(folder).as_posix(): path.lstat() for path in sorted(folder.rglob("*")) if not path.is_dir()}
    return {path: [state.st_size, state.st_mtime_ns] for path, state in files.items() if path != CONTENTS}


def remove_unused(name: str) -> None:
    """Remove what was made under this name of other inputs and has not been used for long."""
    for old in MADE.glob(f"{name}-????????????????"):
        if time.time() - old.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
