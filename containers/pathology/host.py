"""What this process may use of its machine: cores, memory and GPUs, as the container was given them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
DEVICES_VARIABLE, DEVICES = "PATHOLOGY_DEVICES", "/dev"


def cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may run on: those of its affinity, no more than its control group's quota (version 2 or 1); at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota, period = _words(cgroup / "cpu.max", 2) or (
        *(_words(cgroup / "cpu" / "cpu.cfs_quota_us", 1) or ("max",)),
        *(_words(cgroup / "cpu" / "cpu.cfs_period_us", 1) or ("100000",)),
    )
    if quota.isdigit() and period.isdigit() and int(period):
        available = min(available, int(quota) // int(period))
    return max(1, available)


def memory(cgroup: Path = CGROUP) -> int:
    """Bytes of memory that this machine has, no more than the control group's limit (version 2 or 1)."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"):
        words = _words(path, 1)
        if words and words[0].isdigit():
            total = min(total, int(words[0]))
    return total


def gpus() -> list[str]:
    """This machine's GPUs as CUDA_VISIBLE_DEVICES names them, without loading anything of CUDA: the same answer as that of
    ``pathology-run``, which lives in the image and cannot ask this code. What follows one that does not exist is hidden."""
    devices = Path(os.environ.get(DEVICES_VARIABLE, DEVICES))
    count = sum(1 for path in devices.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or count == 0:
        return [str(number) for number in range(count)]
    found: list[str] = []
    for name in (word.strip() for word in visible.split(",")):
        if not name or name.startswith("-") or (name.isdigit() and int(name) >= count):
            break
        found.append(name)
    return found


def _words(path: Path, count: int) -> tuple[str, ...] | None:
    """The words of a control group's file; None where there is no such file, or it has another number of them."""
    with suppress(OSError):
        words = tuple(path.read_text().split())
        if len(words) == count:
            return words
    return None
