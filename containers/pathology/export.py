"""Feature files as other tools read them: ``python -m pathology.export FEATURES --to stamp|clam|trident --output FOLDER``.

FEATURES is one of our feature files or the folder of one settings hash. Ours are left as they are; what is written is whole or not
there, and a file that is there already with other content is never replaced.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pathology.contracts.errors import DataError, PathologyError, RequestError
from pathology.contracts.features import Sidecar
from pathology.contracts.storage import temp_sibling
from pathology.peer_layouts import LAYOUTS
from pathology.wsi.features import Features, read_features


def feature_files(source: Path) -> list[Path]:
    """The feature files at ``source``, one file or a folder's, by name.

    Raises:
        RequestError: when there is none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise RequestError(f"{source}: there is no such file or folder: give a feature file or the folder of a settings hash")
    found = sorted(source.glob("*.h5"))
    if not found:
        below = sorted(folder.name for folder in source.iterdir() if folder.is_dir() and any(folder.glob("*.h5")))
        remedy = f"give the folder of one settings hash: {', '.join(below)}" if below else "give the folder of a settings hash"
        raise RequestError(f"{source} holds no feature file (.h5): {remedy}")
    return found


def _sidecar(path: Path) -> Sidecar | None:
    beside = path.with_suffix(".json")
    try:
        return Sidecar.from_json(beside.read_bytes(), beside.name)
    except FileNotFoundError:
        return None


def read_proven(path: Path) -> tuple[Features, str]:
    """A feature file, held against the hash in its sidecar, and a remark where there is no sidecar.

    Raises:
        DataError: when the file is not one of ours, changed since, or its slide is not finished.
    """
    sidecar = _sidecar(path)
    if sidecar is None:
        return read_features(path, path.stem), "no sidecar beside it: its hash was not checked"
    if sidecar.status != "ok" or sidecar.slide_id != path.stem:
        raise DataError(f"{path.name}: its sidecar is of slide {sidecar.slide_id}, {sidecar.status}: extract the slide again")
    return read_features(path, path.stem, sidecar.sha256), ""


def place(path: Path, content: bytes) -> bool:
    """Write ``content`` to ``path`` whole, unless that very content is there; whether this call wrote it.

    Raises:
        DataError: when something else is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temp_sibling(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces what another put there meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        if path.is_file() and path.read_bytes() == content:
            return False
        raise DataError(f"{path} is there with other content: move it away or name another --output") from None
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _check_places(contents: dict[Path, bytes]) -> None:
    """Before the first of a slide's files is written: none of them may be taken."""
    for path, content in contents.items():
        if path.exists() and not (path.is_file() and path.read_bytes() == content):
            raise DataError(f"{path} is there with other content: move it away or name another --output")


def export_file(path: Path, to: str, output: Path, settings_hash: str | None = None) -> tuple[str, str]:
    """Write what ``to`` reads for the slide of ``path`` below ``output``; the line about it, and the file's settings hash.

    Raises:
        DataError: when the file is refused, is of other settings than ``settings_hash``, or something else is at its place.
    """
    features, remark = read_proven(path)
    own = str(features.attributes.get("settings_hash", ""))
    if settings_hash is not None and own != settings_hash:
        raise DataError(
            f"{path.name} has settings hash {own}, those before it {settings_hash}: export each to a folder of its own"
        )
    contents = {output / name: content for name, content in LAYOUTS[to](path.stem, features).items()}
    _check_places(contents)
    written = [place(target, content) for target, content in contents.items()]
    names = ", ".join(str(target.relative_to(output)) for target in contents)
    state = "written" if any(written) else "there already, the same"
    return f"{names}: {len(features.coords)} tiles, {state}" + (f" ({remark})" if remark else ""), own


def without_features(source: Path) -> Counter[str]:
    """How many slides of a folder have a sidecar and no feature file, by their status."""
    counts: Counter[str] = Counter()
    for beside in sorted(source.glob("*.json")) if source.is_dir() else []:
        if not beside.with_suffix(".h5").exists():
            counts[Sidecar.from_json(beside.read_bytes(), beside.name).status] += 1
    return counts


def exported(source: Path, to: str, output: Path) -> Iterator[tuple[bool, str]]:
    """Of each file whether it was exported, and its line; a file that is refused does not stop the others."""
    settings_hash: str | None = None
    for path in feature_files(source):
        try:
            line, settings_hash = export_file(path, to, output, settings_hash)
        except DataError as error:
            yield False, f"refused: {error}"
        else:
            yield True, line


def main(arguments: list[str] | None = None) -> int:
    """0 when every file was exported, 1 when one was refused, 2 for a wrong request."""
    parser = argparse.ArgumentParser(
        prog="python -m pathology.export", description="Write feature files as other tools read them."
    )
    parser.add_argument("features", type=Path, help="a feature file (.h5), or the folder of a settings hash")
    parser.add_argument("--to", required=True, choices=sorted(LAYOUTS), help="the tool that is to read them")
    parser.add_argument("--output", required=True, type=Path, help="folder to write to")
    given = parser.parse_args(arguments)
    try:
        done: Counter[bool] = Counter()
        for good, line in exported(given.features, given.to, given.output):
            done[good] += 1
            print(line, file=sys.stdout if good else sys.stderr)
        left = without_features(given.features)
    except (PathologyError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code if isinstance(error, PathologyError) else 1
    others = "".join(f", {count} {status} without features" for status, count in sorted(left.items()))
    print(f"{done[True]} exported for {given.to}, {done[False]} refused{others}; in {given.output}")
    return 1 if done[False] else 0


if __name__ == "__main__":
    sys.exit(main())
