"""A test module's trainings in processes of their own: killed in the middle, started again, or two of them together.

One process imports the libraries and forks for every training, so that they are loaded once. It trains nothing itself.
"""

import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pathology

from tests.waiting import MAX_WAIT_SECONDS

TESTS = Path(__file__).resolve().parent
PYTHONPATH = os.pathsep.join([str(Path(pathology.__file__).parents[1]), str(TESTS.parents[1]), str(TESTS)])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": "1"}
LIBRARIES = ("timm", "peft", "pathology.patches.training", "pathology.tasks.lizard.training", "torch.distributed.run")
"""Loaded before the first fork, as each training would load them."""


def digest(tensors):
    """A hash of tensors by name."""
    state = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        state.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


@dataclass(frozen=True)
class Ended:
    """A training that ended: its exit status, negative for a signal, and what it printed."""

    status: int
    printed: str


class Trainings:
    """Runs ``run(encoder, folder)`` of the test module ``file``, which trains and gives a hash of what was trained."""

    def __init__(self, file):
        file = Path(file).resolve()
        words = [sys.executable, __file__, file.stem, str(file.parent)]
        self.process = subprocess.Popen(words, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        """End the process that forks."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, encoder, folder, parts=0, together=False):
        """Ended by SIGKILL when it comes to its ``parts``-th part of a step; ``together``: as two processes of torchrun.

        RANK in ``folder`` is each process's own number.
        """
        log = Path(str(folder) + ".log")
        asked = {"encoder": str(encoder), "folder": str(folder), "parts": parts, "together": together, "log": str(log)}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the process that forks has ended"
        return Ended(int(answer), log.read_text())

    def check_resumed(self, encoder, folder, kills):
        """Killed and started again for each of ``kills`` a training ends as undisturbed.

        A kill is the part at which its process ends and the epochs that are finished by then, counted over all processes.
        """
        from pathology.training.checkpoints import LAST

        whole = self.run(encoder, folder / "whole")
        assert whole.status == 0, whole.printed
        finished = 0
        for parts, epochs in [*kills, (0, None)]:
            ended = self.run(encoder, folder / "killed", parts)
            assert ended.status == (-signal.SIGKILL if parts else 0), ended.printed
            assert ("resuming from epoch" in ended.printed) == (finished > 0)
            assert f"resuming from epoch {finished}" in ended.printed or not finished
            if parts:
                finished = epochs
                assert (folder / "killed" / LAST).exists() == (finished > 0)
        assert ended.printed.split()[-1] == whole.printed.split()[-1]


def train(here, asked):
    """One training in this process, to its end or to where it is killed."""
    folder = Path(asked["folder"].replace("RANK", os.environ.get("RANK", "0")))
    if asked["parts"]:
        kill_at(asked["parts"])
    print("hash", here.run(Path(asked["encoder"]), folder), flush=True)


def kill_at(parts):
    """End this process by SIGKILL when it comes to its ``parts``-th part of a step."""
    from pathology.training.batches import TrainingBatches

    original, calls = TrainingBatches.__getitem__, []

    def counted(self, number):
        calls.append(number)
        if len(calls) == parts:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, number)

    TrainingBatches.__getitem__ = counted


def printing_failure(work, *given):
    """Do ``work``; what goes wrong is printed, and ends the process with status 1."""
    try:
        work(*given)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def launch(here, asked):
    """Two processes by torchrun's own launcher, which fork from this one; they meet at a port that the system chooses."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    meeting = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": Path(asked["folder"]).name}
    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=2, max_restarts=0, start_method="fork", **meeting)
    elastic_launch(config, printing_failure)(train, here, asked)


def fork(here, asked):
    """Train in a child that prints into a file; its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    signal.alarm(round(MAX_WAIT_SECONDS))
    with suppress(SystemExit):
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        printing_failure(launch if asked["together"] else train, here, asked)
        status = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(module, folder):
    """Fork for every line of standard input; answer each with an exit status."""
    sys.path.insert(0, folder)
    here = importlib.import_module(module)
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        print(fork(here, json.loads(line)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
