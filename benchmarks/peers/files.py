"""What a tool's files are worth: the same bytes from a second run, and nothing that looks finished after kill -9."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

from benchmarks.peers.environments import Worker

KILLS = 4


def content(folder: Path) -> dict[str, dict[str, str]]:
    """Of each thing that a reader opens whole (a file, or a folder named .zarr), the hashes of its files by name."""
    things: dict[str, dict[str, str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            head, store, _ = name.partition(".zarr")
            things.setdefault(head + store, {})[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return things


def half_things(whole: dict[str, dict[str, str]], left: dict[str, dict[str, str]], sizes: dict[str, int], folder: Path) -> int:
    """How many things are there by their final name and not whole: files missing in them, or shorter than they come to be."""
    count = 0
    for name in whole.keys() & left.keys():
        missing = whole[name].keys() - left[name].keys()
        count += bool(missing) or any((folder / file).stat().st_size < sizes[file] for file in left[name] if file in sizes)
    return count


def files_of(worker: Worker, slide: Path, folder: Path, seconds: float) -> dict[str, float] | str:
    """``bytes_equal``: 1 where two runs gave the same bytes. ``half_files``: after each of KILLS kills, spread over the time that a run
    takes, what lies there by its final name and is not whole. In a line, where it writes nothing."""
    runs, took = [], 0.0
    for number in range(2):
        target = folder / f"{worker.name}-{number}"
        target.mkdir(parents=True)
        answer = worker.ask("write", str(slide), str(target), seconds=seconds)
        if "error" in answer:
            return str(answer["error"])
        took = float(str(answer["seconds"]))
        runs.append(content(target))
    first = folder / f"{worker.name}-0"
    sizes = {str(path.relative_to(first)): path.stat().st_size for path in first.rglob("*") if path.is_file()}
    half = sum(_after_kill(worker, slide, folder, took * (n + 0.5) / KILLS, runs[0], sizes) for n in range(KILLS))
    return {"bytes_equal": int(runs[0] == runs[1]), "half_files": half, "kills": KILLS}


def _after_kill(
    worker: Worker, slide: Path, folder: Path, delay: float, whole: dict[str, dict[str, str]], sizes: dict[str, int]
) -> int:
    target = folder / f"{worker.name}-killed"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    process = worker.start("write", str(slide), str(target))
    if process.stdout is not None:
        process.stdout.readline()
    time.sleep(delay)
    process.kill()
    process.communicate()
    return half_things(whole, content(target), sizes, target)
