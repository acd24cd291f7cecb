"""ExtractFeatures on a host with four GPUs: four workers, here on the CPU, and their devices are files in a folder."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from extraction_jobs import Jobs, finish, wait_until
from made_slides import small_slides
from pathology.commands import extract_features
from pathology.contracts.errors import RequestError
from pathology.job import Job
from pathology.workers import Worker

WORKERS = [f"algo-1-worker-{number}" for number in range(1, 5)]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Jobs on a host with four GPUs, with so many slides."""
    devices = tmp_path / "dev"
    devices.mkdir()
    for number in range(4):
        (devices / f"nvidia{number}").touch()
    monkeypatch.setenv("PATHOLOGY_DEVICES", str(devices))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = []

    def make(count, name="four"):
        jobs = Jobs(tmp_path / name)
        for number in range(count):
            jobs.add(small_slides() / f"s{number % 3}.svs", f"s{number}")
        made.append(jobs)
        return jobs

    yield make
    for jobs in made:
        jobs.__exit__()


def contents(jobs):
    return {path.name: path.read_bytes() for path in jobs.features.glob("*.h5")}


def claims(jobs, name):
    return {path.name: path.read_text() for path in (jobs.features / "claims" / name).iterdir() if path.is_file()}


ALL_AT_ONCE = """
import os, time
from pathlib import Path
from pathology.workers import Worker

def load(self, _):
    print("sees", os.environ["CUDA_VISIBLE_DEVICES"], self.cores, self.prefetcher.sharing)
    while len(list(Path({notes!r}).glob("algo-1-worker-?"))) < 4:  # every worker has a slide in progress
        time.sleep(0.01)
    return ColourEncoder()

extract_features.Extraction._load = load
"""


@pytest.mark.slow
def test_four_workers_extract_every_slide_once_with_the_bytes_of_one(host, monkeypatch):
    jobs, alone = host(7), host(7, "alone")
    notes = jobs.features / "claims" / "job" / ".in-hand"
    code, output, errors = finish(
        jobs.start_extraction(jobs.layout("job", hosts=["algo-1"]), ALL_AT_ONCE.format(notes=str(notes)))
    )
    assert code == 0, errors
    assert "algo-1: 4 workers, one a GPU" in output
    seen = re.findall(r"^worker (\d): Processing slide #\d: (\S+)$", output, re.MULTILINE)
    assert sorted(name for _, name in seen) == [f"s{number}" for number in range(7)]
    assert {number for number, _ in seen} == {"1", "2", "3", "4"}
    assert claims(jobs, "job") == {name: f"algo-1-worker-{number}" for number, name in seen}
    assert sorted(re.findall(r"worker (\d): sees (\d) \d+ 4$", output, re.MULTILINE)) == [
        (str(number + 1), str(number)) for number in range(4)
    ]
    assert len(re.findall(r"^worker \d: algo-1-worker-\d: \d slides extracted \(0 failed\)", output, re.MULTILINE)) == 4
    assert not list((jobs.root("job") / "scratch").iterdir())

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    code, output, errors = alone.extract("job", hosts=["algo-1"])
    assert code == 0 and "worker" not in output, errors
    assert contents(alone) == contents(jobs) and len(contents(jobs)) == 7


IN_ITS_FIRST = """
import os, signal, threading
from pathlib import Path
from pathology.wsi import prefetch

def held(self, done, total):
    name = self.queue.host
    Path({marks!r}, name).touch()
    if name == "algo-1-worker-3":
        while len(list(Path({marks!r}).iterdir())) < 4:
            time.sleep(0.01)
        {end}
    threading.Event().wait()

import time
prefetch.SlidePrefetcher.progress = held
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "said", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"worker 3 of 4 \(GPU 2\) was killed by SIGKILL: Processing slide #1: s\d", 1),
        (
            "raise OSError(28, 'No space left on device')",
            r"worker 3 of 4 \(GPU 2\) ended with exit code 1: the disk is full.*",
            1,
        ),
    ],
)
def test_a_worker_that_dies_fails_the_job_with_its_last_line_and_a_restart_takes_its_slide_up(host, tmp_path, end, said, code):
    jobs, marks = host(5), tmp_path / "marks"
    marks.mkdir()
    root = jobs.layout("job", hosts=["algo-1"])
    ended, output, errors = finish(jobs.start_extraction(root, IN_ITS_FIRST.format(marks=str(marks), end=end)))
    assert ended == code
    assert re.fullmatch(f"error: {said}", errors.strip().splitlines()[-1]), errors
    assert re.fullmatch(said, (root / "output" / "message").read_text())
    assert set(claims(jobs, "job").values()) == set(WORKERS)
    held = claims(jobs, "job")
    assert len(re.findall("worker [124]: stopped: finished slides are kept", output)) == 3, "the others were told to end"

    ended, output, errors = finish(jobs.start_extraction(root))
    assert ended == 0, errors
    assert len(contents(jobs)) == 5
    for name, holder in held.items():
        assert f"worker {holder[-1]}: Processing slide #1: {name}\n" in output, "each takes up its own"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_job_reaches_all_workers(host, tmp_path, number):
    """SIGKILL too, which cannot be passed on: workers see that nobody is there any more."""
    jobs, marks = host(5), tmp_path / "marks"
    marks.mkdir()
    end = f"Path({str(tmp_path)!r}, 'here').touch()"
    pids = (
        "\nPath("
        + repr(str(tmp_path))
        + ", 'pid-' + os.environ.get('PATHOLOGY_WORKER', 'parent')[0]).write_text(str(os.getpid()))"
    )
    root = jobs.layout("job", hosts=["algo-1"])
    process = jobs.start_extraction(root, IN_ITS_FIRST.format(marks=str(marks), end=end) + pids)
    wait_until((tmp_path / "here").exists, process)
    workers = [int((tmp_path / f"pid-{worker}").read_text()) for worker in range(1, 5)]
    process.send_signal(number)
    code, output, errors = finish(process)
    assert code == (143 if number == signal.SIGTERM else -9), errors
    if number == signal.SIGTERM:
        assert len(re.findall("worker [1234]: stopped: finished slides are kept", output)) == 4
    deadline = time.monotonic() + 60
    while [pid for pid in workers if alive(pid)] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in workers if alive(pid)]
    assert set(claims(jobs, "job").values()) == set(WORKERS)
    assert not [path for path in (root / "scratch").rglob("*") if path.is_file()]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has waited for is dead all the same.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_host_with_several_gpus_starts_a_worker_for_each_and_reads_nothing_itself(host, monkeypatch):
    jobs, started = host(1), []
    monkeypatch.setattr(extract_features, "run_workers", started.append)
    code, output, errors = jobs.extract()
    assert code == 0 and started == [["0", "1", "2", "3"]], errors
    assert "algo-1: 4 workers, one a GPU" in output and not jobs.features.exists()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert jobs.extract()[0] == 0
    assert len(started) == 1 and len(contents(jobs)) == 1, "one GPU needs no worker"


def test_hosts_of_four_workers_each_begin_at_slides_of_their_own(host, monkeypatch):
    jobs = host(2)
    monkeypatch.setenv("PATHOLOGY_ROOT", str(jobs.layout("job", host="algo-2", hosts=["algo-1", "algo-2"])))
    settings = Job.current().hyperparameters(extract_features.ExtractFeaturesJob)
    work = extract_features.Extraction(Job.current(), settings, jobs.cohort, None, Worker(3, 4))
    assert (work.queue.host, work.queue.rank, work.queue.hosts) == ("algo-2-worker-3", 6, 8)


def test_memory_for_fewer_workers_leaves_gpus_idle_and_says_so(host, monkeypatch, capsys):
    jobs = host(1)
    monkeypatch.setenv("PATHOLOGY_ROOT", str(jobs.layout("job")))
    monkeypatch.setattr(extract_features, "memory", lambda: 13 * 2**30)
    assert extract_features.devices_for_workers(Job.current()) == ["0", "1", "2", "3"]
    checkpoint = Job.current().input("models") / jobs.manifest.checkpoint
    with checkpoint.open("wb") as file:
        file.truncate(2 * 2**30)
    assert extract_features.devices_for_workers(Job.current()) == ["0"]
    assert "algo-1: 4 GPUs, and memory for 1 workers of 7.0 GiB: the others stay idle" in capsys.readouterr().out


@pytest.mark.parametrize("said", ["", "5/4", "0/4", "x"])
def test_a_worker_that_nobody_started_is_refused(monkeypatch, said):
    monkeypatch.setenv("PATHOLOGY_WORKER", said)
    with pytest.raises(RequestError, match="set for workers by the command itself"):
        Worker.current()
