"""Which modules a command needs, and the archive that carries them into a job.

The archive's name is a hash of relative paths and contents of the command's closure inside ``pathology``, so that a change in
one task's code leaves the others' steps cached. Its sources are blanked: comments and docstrings are empty lines, and the name
moves only with what runs. How many lines they take still counts, as a job's traceback names the repository's lines.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from pathology.contracts.blank import blanked
from pathology.contracts.errors import RequestError

PACKAGE = "pathology"
ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the package: ``containers/`` in a checkout, the unpacked archive in a job."""

DATA_SUFFIXES = (".j2", ".css", ".js")
"""Files that travel with the modules of their own folder: with the one they are named after, where there is one, or with all."""


@dataclass(frozen=True)
class Code:
    """The files of a closure: relative POSIX path → bytes."""

    files: dict[str, bytes]

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits over paths and contents, in the order of paths."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:16]

    def archive(self) -> bytes:
        """A tar.gz without times, owners or links: the same files give the same bytes."""
        return _archived(tuple(sorted(self.files.items())))

    def unpack(self, folder: Path) -> None:
        """Write the files below ``folder``."""
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


@lru_cache(maxsize=64)
def _archived(files: tuple[tuple[str, bytes], ...]) -> bytes:
    """The tar.gz of paths and contents, in their order."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in files:
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def _listed(root: Path) -> dict[str, list[str]]:
    """The files of the package: folder, as a relative POSIX path → names in order."""
    folders: dict[str, list[str]] = {}
    for folder, below, names in os.walk(root / PACKAGE):
        below[:] = [name for name in below if name != "__pycache__"]
        folders[Path(folder).relative_to(root).as_posix()] = sorted(names)
    return folders


def _locate(module: str, folders: dict[str, list[str]]) -> tuple[str, str] | None:
    """Folder and name of a module's file, where there is one."""
    base = module.replace(".", "/")
    above, _, last = base.rpartition("/")
    for folder, name in ((above, f"{last}.py"), (base, "__init__.py")):
        if name in folders.get(folder, ()):
            return folder, name
    return None


@lru_cache(maxsize=1024)
def _imports(source: bytes, module: str, is_package: bool) -> frozenset[str]:
    """Every dotted name that ``source`` may import from the package; ``from a import b`` gives both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".") if is_package else module.split(".")[:-1]
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return frozenset(name for name in names if name == PACKAGE or name.startswith(PACKAGE + "."))


def _data_beside(module: str, names: list[str]) -> list[str]:
    """The data files among a folder's that travel with its ``module``."""
    owners = {name: f"{name.partition('.')[0]}.py" for name in names if name.endswith(DATA_SUFFIXES)}
    return [name for name, owner in owners.items() if owner == module or owner not in names]


def closure(module: str, root: Path = ROOT) -> Code:
    """The files of ``module`` and of all it imports inside the package, wherever in the source the import stands.

    Sources are blanked, so the closure of what was unpacked from an archive is that archive's; other files are as they are.

    Raises:
        RequestError: when there is no such module.
    """
    folders = _listed(root)
    if _locate(module, folders) is None:
        raise RequestError(f"there is no module {module} under {root}")
    files: dict[str, bytes] = {}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file_place = _locate(name, folders)
        if file_place is None:
            continue
        folder, file = file_place
        content = (root / folder / file).read_bytes()
        files[f"{folder}/{file}"] = blanked(content)
        for beside in _data_beside(file, folders[folder]):
            files[f"{folder}/{beside}"] = (root / folder / beside).read_bytes()
        waiting += _imports(content, name, file == "__init__.py")
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return Code(files)


def command_code(command: str, root: Path = ROOT) -> Code:
    """The closure of ``pathology.commands.<command>``.

    Raises:
        RequestError: for an unknown command.
    """
    return closure(f"{PACKAGE}.commands.{command}", root)
