"""Workers are heard, fail the job when one fails, and end with it."""

import os
import signal
import subprocess
import sys

import pytest

from tests.waiting import until

COMMAND = """
import os, signal, sys, time
from pathlib import Path
from pathology import workers
from pathology.contracts.errors import PathologyError
from pathology.workers import Worker, end_with_parent, run_workers

folder, worker = Path({folder!r}), Worker.current()

def wait_for_all():
    (folder / f"{{worker.number}}.tmp").write_text(str(os.getpid()))
    (folder / f"{{worker.number}}.tmp").rename(folder / str(worker.number))
    while len([path for path in folder.iterdir() if not path.suffix]) < worker.count:
        time.sleep(0.005)

if worker is None:
    workers.GRACE = {grace}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run_workers(["0", "5", "GPU-7"])
    except PathologyError as error:
        print("error:", error, file=sys.stderr)
        sys.exit(error.exit_code)
else:
    end_with_parent()
    {work}
"""


@pytest.fixture
def start(tmp_path):
    """Starts three workers that do ``work``; the process that waits for them, and the folder with their process ids."""
    started = []

    def run(work, grace=10.0):
        folder = tmp_path / "pids"
        folder.mkdir()
        code = COMMAND.format(folder=str(folder), work=work.replace("\n", "\n    "), grace=grace)
        started.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1], folder

    yield run
    for process in started:
        process.kill()
        process.communicate()


def gone(folder):
    """Whether every worker has ended."""
    for path in folder.iterdir():
        try:
            os.kill(int(path.read_text()), 0)
        except ProcessLookupError:
            continue
        return False
    return True


def test_each_has_a_device_and_a_number_and_every_line_says_whose_it_is(start):
    process, _ = start("print(worker.name('algo-1'), os.environ['CUDA_VISIBLE_DEVICES'])\nprint('oops', file=sys.stderr)")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    expected = [f"worker {number}: algo-1-worker-{number} {device}" for number, device in ((1, "0"), (2, "5"), (3, "GPU-7"))]
    assert sorted(output.splitlines()) == sorted(expected + [f"worker {number}: oops" for number in (1, 2, 3)])


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("sys.exit('error: no room\\n')", 1, "worker 2 of 3 (GPU 5) ended with exit code 1: no room"),
        ("print('error: a wrong setting', flush=True); sys.exit(2)", 2, "(GPU 5) ended with exit code 2: a wrong setting"),
        ("print('busy', flush=True); os.kill(os.getpid(), 9)", 1, "worker 2 of 3 (GPU 5) was killed by SIGKILL: busy"),
        ("os._exit(3)", 1, "worker 2 of 3 (GPU 5) ended with exit code 3: it said nothing"),
    ],
)
def test_one_that_fails_ends_all_and_its_last_line_is_the_jobs(start, end, code, said):
    process, folder = start(f"wait_for_all()\nif worker.number == 2:\n    {end}\ntime.sleep(3600)")
    _, errors = process.communicate()
    assert process.returncode == code
    assert errors.strip().splitlines()[-1].endswith(said)
    assert len(list(folder.iterdir())) == 3 and gone(folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_what_ends_the_one_that_waits_ends_all(start, number, code):
    """SIGKILL cannot be passed on: the workers see that nobody is there any more."""
    process, folder = start("wait_for_all()\nprint('all', flush=True)\ntime.sleep(3600)")
    assert process.stdout.readline().endswith("all\n")
    process.send_signal(number)
    assert process.wait() == code
    until(lambda: gone(folder))


def test_one_that_does_not_end_when_told_is_killed(start):
    process, folder = start(
        "if worker.number == 3:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwait_for_all()\n"
        "if worker.number == 1:\n    sys.exit(1)\ntime.sleep(3600)",
        grace=0.2,
    )
    process.communicate()
    assert process.returncode == 1 and gone(folder)
