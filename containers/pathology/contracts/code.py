"""Which modules a command needs, and the archive that carries them into a job.

The archive's name is a hash of relative paths and contents of the command's closure inside ``pathology``, so that a change in
one task's code leaves the others' steps cached.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pathology.contracts.errors import RequestError

PACKAGE = "pathology"
ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the package: ``containers/`` in a checkout, the unpacked archive in a job."""

DATA_SUFFIXES = frozenset({".j2", ".css"})
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
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path, content in sorted(self.files.items()):
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                entry.mode = 0o644
                tar.addfile(entry, io.BytesIO(content))
        return gzip.compress(raw.getvalue(), mtime=0)

    def unpack(self, folder: Path) -> None:
        """Write the files below ``folder``."""
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _file(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(source: str, module: str, is_package: bool) -> set[str]:
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
    return {name for name in names if name == PACKAGE or name.startswith(PACKAGE + ".")}


def _travels_with(data: Path, module: Path) -> bool:
    owner = data.with_name(f"{data.name.partition('.')[0]}.py")
    return owner == module or not owner.is_file()


def closure(module: str, root: Path = ROOT) -> Code:
    """The files of ``module`` and of all it imports inside the package, wherever in the source the import stands.

    Raises:
        RequestError: when there is no such module.
    """
    if _file(module, root) is None:
        raise RequestError(f"there is no module {module} under {root}")
    files: dict[str, bytes] = {}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _file(name, root)
        if path is None:
            continue
        content = path.read_bytes()
        files[path.relative_to(root).as_posix()] = content
        for beside in sorted(path.parent.iterdir()):
            if beside.suffix in DATA_SUFFIXES and _travels_with(beside, path):
                files[beside.relative_to(root).as_posix()] = beside.read_bytes()
        waiting += _imports(content.decode(), name, path.name == "__init__.py")
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return Code(files)


def command_code(command: str, root: Path = ROOT) -> Code:
    """The closure of ``pathology.commands.<command>``.

    Raises:
        RequestError: for an unknown command.
    """
    return closure(f"{PACKAGE}.commands.{command}", root)
