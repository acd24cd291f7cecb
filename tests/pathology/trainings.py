"""A test module's training in processes of its own: killed in the middle, started again, or two of them together."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pathology

SCRIPT = """
import importlib, os, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
here = importlib.import_module(sys.argv[1])
slow = float(sys.argv[6]) if len(sys.argv) > 6 else 0.0
if slow:
    from pathology.models.epoch_batches import TrainingBatches
    plain = TrainingBatches.__getitem__
    TrainingBatches.__getitem__ = lambda self, number: (print("part", flush=True), time.sleep(slow), plain(self, number))[2]
print("hash", here.run(Path(sys.argv[4]), Path(sys.argv[5].replace("RANK", os.environ.get("RANK", "0")))), flush=True)
"""
TESTS = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pathology.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def digest(tensors):
    """A hash of tensors by name."""
    state = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        state.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


class Elsewhere:
    """``run(encoder, folder)`` of the test module ``file``, which trains and gives a hash of what was trained."""

    def __init__(self, file):
        self.file = Path(file).resolve()

    def command(self, encoder, folder, slow=0.0):
        """The words of a process; ``slow`` seconds before every part of a step, each of which it prints."""
        words = [self.file.stem, str(self.file.parent), str(TESTS), str(encoder), str(folder)]
        return [sys.executable, "-c", SCRIPT, *words, *([str(slow)] if slow else [])]

    def train(self, encoder, folder):
        """To its end; what it printed."""
        done = subprocess.run(self.command(encoder, folder), env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def train_killed(self, encoder, folder, parts):
        """Killed when it comes to its ``parts``-th part of a step."""
        command = self.command(encoder, folder, 0.05)
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        seen = 0
        for line in process.stdout:
            seen += line.startswith("part")
            if seen == parts:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert seen == parts

    def check_resumed(self, encoder, folder, parts, epoch):
        """Killed at a part and started again it ends as undisturbed; ``epoch`` is how many parts an epoch has."""
        from pathology.models.checkpoints import LAST

        whole = self.train(encoder, folder / "whole")
        self.train_killed(encoder, folder / "killed", parts)
        assert (folder / "killed" / LAST).exists() == (parts > epoch)
        resumed = self.train(encoder, folder / "killed")
        assert ("goes on after epoch 1" in resumed) == (parts > epoch)
        assert resumed.split()[-1] == whole.split()[-1]

    def train_in_two(self, encoder, folder):
        """Under torchrun with two processes; the ended process. RANK in ``folder`` is each one's own number."""
        with socket.socket() as waiting:
            waiting.bind(("127.0.0.1", 0))
            port = waiting.getsockname()[1]
        started = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}", "--no-python"]
        words = [*started, *self.command(encoder, folder)]
        return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=200)
