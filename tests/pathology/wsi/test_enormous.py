"""Files that declare more than they hold are refused in little memory and work."""

import struct
import subprocess
import sys

import pytest


def declared(width, height, tile=256):
    """A TIFF of one 256 px tile that says it has ``width`` × ``height`` px."""
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1),
        (282, 5, 1, 170), (283, 5, 1, 170), (296, 3, 1, 3), (322, 4, 1, tile), (323, 4, 1, tile),
        (324, 4, 1, 512), (325, 4, 1, 65536),
    ]  # fmt: skip
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    head = (b"II*\0" + struct.pack("<I", 8) + table).ljust(170, b"\0") + struct.pack("<II", 20000, 1)
    return head.ljust(512, b"\0") + bytes([200]) * 65536


BOUNDED = """
import resource, sys
from pathlib import Path
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import plan_slide
from pathology.wsi.cucim_reader import load_cucim

load_cucim()
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 2**30, held + 2**30))
for path in map(Path, sys.argv[1:]):
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (spent + 5, resource.RLIM_INFINITY))  # of this process's own work
    try:
        plan_slide(path, Tiling())
    except DataError as error:
        print("failed:", error, flush=True)
"""

MAX_SIDE = 2**31 - 1

SIZES = {
    "both": (MAX_SIDE, MAX_SIDE, 256),
    "wide": (MAX_SIDE, 256, 256),
    "unsigned": (2 * MAX_SIDE + 1, 2 * MAX_SIDE + 1, 256),
    "one-tile-of-152881": (100_000, 100_000, 256),
    "tile": (MAX_SIDE, MAX_SIDE, 2**31 - 16),
    "tile-of-4-GB": (30_000, 30_000, 2**15),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded through Linux's address space")
def test_an_enormous_declared_size_is_refused_in_little_memory_and_work(tmp_path):
    """One process for all: what one file left behind would count against the next."""
    paths = [tmp_path / f"{name}.tif" for name in SIZES]
    for path, size in zip(paths, SIZES.values(), strict=True):
        path.write_bytes(declared(*size))
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, *map(str, paths)], capture_output=True, text=True, timeout=600, check=False
    )
    assert [line.split(".tif: ")[0] for line in done.stdout.splitlines()] == [f"failed: {name}" for name in SIZES], done.stderr
    assert done.returncode == 0, done.stderr[-500:]
