"""What a process may use, as containers say it."""

import importlib.machinery
import importlib.util
import os
from pathlib import Path

import pytest
from pathology import host

ENTRY_POINT = Path(host.__file__).parents[1] / "pathology-run"


def cgroup(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu.max": "nonsense"}, 8),
    ],
)
def test_cores_are_those_of_the_affinity_within_the_quota(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert host.cores(cgroup(tmp_path, files)) == cores


def test_memory_is_the_machines_within_the_limit(tmp_path):
    whole = host.memory(tmp_path)
    assert whole == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert host.memory(cgroup(tmp_path, {"memory.max": "max\n"})) == whole
    assert host.memory(cgroup(tmp_path, {"memory.max": "1048576\n"})) == 2**20
    assert host.memory(cgroup(tmp_path, {"memory.max": "max\n", "memory/memory.limit_in_bytes": "4096"})) == 4096


@pytest.mark.parametrize(
    ("count", "visible", "expected"),
    [
        (0, None, []), (0, "0,1", []), (1, None, ["0"]), (4, None, ["0", "1", "2", "3"]), (4, "2, 0", ["2", "0"]),
        (4, "1,7,2", ["1"]), (4, "", []), (4, "-1", []), (4, "GPU-8932f937,GPU-5", ["GPU-8932f937", "GPU-5"]),
    ],
)  # fmt: skip
def test_gpus_are_counted_as_the_entry_point_counts_them(tmp_path, monkeypatch, count, visible, expected):
    for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(count))):
        (tmp_path / name).touch()
    monkeypatch.setenv("PATHOLOGY_DEVICES", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    loader = importlib.machinery.SourceFileLoader("entry_point", str(ENTRY_POINT))
    entry_point = importlib.util.module_from_spec(importlib.util.spec_from_loader("entry_point", loader))
    loader.exec_module(entry_point)
    assert host.gpus() == entry_point.gpus() == expected
