"""The peers, and a throw-away environment for each, outside the repository."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import REPOSITORY

WORKERS = Path(__file__).parent / "workers"
SPARE, WHOLE = "not-installed.txt", "installed.txt"
"""In a peer's folder: why it cannot be installed; that its installation came to its end."""

INSTALL_SECONDS = 900
NO_PACKAGE = "no package that pip installs from an index"


@dataclass(frozen=True)
class Peer:
    """A tool to measure beside ours: what pip installs for its fastest reading, and whether it imports torch to read.

    ``not_installed`` says why a tool is named and not measured.
    """

    name: str
    requirements: tuple[str, ...]
    licence: str
    torch: bool = False
    by_option: bool = False
    not_installed: str = ""


PEERS = {
    peer.name: peer
    for peer in (
        # Backends in the order of hs2p's own choice; pyvips-binary brings libvips, which pyvips alone does not.
        Peer("hs2p", ("hs2p[cucim,openslide,vips]", "pyvips-binary"), "Apache-2.0"),
        Peer("tiatoolbox", ("tiatoolbox",), "BSD-3-Clause", torch=True),
        Peer("lazyslide", ("lazyslide", "fastslide"), "MIT", torch=True),
        Peer("trident", (), "CC-BY-NC-ND-4.0", by_option=True, not_installed=f"it is {NO_PACKAGE}, and for research alone"),
        Peer("clam", (), "GPL-3.0", by_option=True, not_installed=f"it is {NO_PACKAGE}; it reads by OpenSlide, one read a tile"),
    )
}


def cache() -> Path:
    """Where the environments lie: ``$PATHOLOGY_PEERS``, else the user's cache."""
    named = os.environ.get("PATHOLOGY_PEERS")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else base / "pathology-peers"


def interpreter(peer: Peer, folder: Path) -> Path:
    """The Python of a peer's environment."""
    return folder / peer.name / "bin" / "python"


def install(peer: Peer, folder: Path) -> str:
    """Make a peer's environment with its newest release; empty, or in a line why that cannot be done.

    torch and what it brings are those of this interpreter where the peer takes that version, and are not downloaded twice.
    """
    if peer.not_installed:
        return peer.not_installed
    home = folder / peer.name
    home.mkdir(parents=True, exist_ok=True)
    spare = home / SPARE
    try:
        venv.create(home, with_pip=True, clear=True)
        site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        torch = importlib.util.find_spec("torch") if peer.torch else None
        if torch and torch.origin:
            (site / "with-torch.pth").write_text(f"{Path(torch.origin).parents[1]}\n")
        command: list[str | Path] = [
            interpreter(peer, folder),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--upgrade",
            *peer.requirements,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = "" if done.returncode == 0 else (errors or done.stderr.splitlines() or ["pip failed"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"pip took more than {INSTALL_SECONDS} s"
    except (OSError, subprocess.CalledProcessError) as error:
        reason = " ".join(str(error).split())
    (spare if reason else home / WHOLE).write_text(f"{reason or 'yes'}\n")
    return reason


def why_missing(peer: Peer, folder: Path) -> str:
    """Empty where a peer can be measured, else in a line why it cannot."""
    if peer.not_installed:
        return f"cannot be installed: {peer.not_installed}"
    spare = folder / peer.name / SPARE
    if spare.exists():
        return f"cannot be installed: {spare.read_text().strip()}"
    if not (folder / peer.name / WHOLE).exists():
        return "not installed: run python -m benchmarks.peers --prepare once"
    return ""


@dataclass(frozen=True)
class Worker:
    """A program that reads slides by one tool, in that tool's environment."""

    name: str
    python: Path
    path: str
    """Its PYTHONPATH."""

    @classmethod
    def ours(cls) -> Worker:
        """Our own reader, in a process of its own like the others'."""
        return cls("ours", Path(sys.executable), f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'containers'}")

    @classmethod
    def of(cls, peer: Peer, folder: Path) -> Worker:
        """A peer's, which sees nothing of ours."""
        return cls(peer.name, interpreter(peer, folder), "")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; its answer is the last line of its output."""
        return subprocess.Popen(
            [str(self.python), str(WORKERS / f"with_{self.name}.py"), *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": self.path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, *arguments: str, seconds: float = 120) -> dict[str, object]:
        """Its answer, or ``{"error": …}`` where it failed, was killed by a signal or took too long."""
        process = self.start(*arguments)
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {"error": f"took more than {seconds:.0f} s"}
        if process.returncode != 0:
            return {"error": (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]}
        return dict(json.loads(output.splitlines()[-1]))
