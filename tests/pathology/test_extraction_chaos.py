"""Extraction under kill -9 and SIGTERM, on a full disk, and beside others: nothing lost, nothing half-written, nothing done twice."""

import random
import re
import signal
import subprocess

import pytest
from extraction_jobs import Jobs, finish, wait_until
from made_slides import SMALL, small_slides
from pathology.contracts.features import Sidecar
from pathology.wsi.features import read_features


@pytest.fixture(scope="module")
def slides():
    """Small painted slides of different sizes, s0.svs the smallest."""
    return sorted(small_slides().glob("*.svs"))


@pytest.fixture
def jobs_of(tmp_path, slides):
    """Makes jobs on so many slides in a folder of their own."""
    made = []

    def make(count=SMALL, name="top"):
        jobs = Jobs(tmp_path / name)
        for number in range(count):
            jobs.add(slides[number % 3 if count > SMALL else number], f"s{number}")
        made.append(jobs)
        return jobs

    yield make
    for jobs in made:
        jobs.__exit__()


def visible(jobs):
    """Every file that a reader would take for finished, and a check that it is whole."""
    contents = {}
    for path in sorted(jobs.features.glob("*.h5")):
        read_features(path, path.stem)
        contents[path.name] = path.read_bytes()
    for path in sorted(jobs.features.glob("*.json")):
        sidecar = Sidecar.from_json(path.read_bytes(), path.name)
        if sidecar.status == "ok":
            read_features(path.with_suffix(".h5"), sidecar.slide_id, sidecar.sha256)
    return contents


def largest_first(jobs):
    return [row.slide_id for row in sorted(jobs.cohort, key=lambda row: (-row.bytes, row.slide_id))]


def taken(output):
    """The slides that a host says it processed."""
    return re.findall(r"Processing slide #\d: (\S+)", output)


def claimed(jobs, name):
    """By slide the host that has claimed it."""
    return {path.name: path.read_text() for path in (jobs.features / "claims" / name).iterdir() if path.is_file()}


KILLED_AFTER_WORK = """
import signal
signal.setitimer(signal.ITIMER_PROF, {seconds})  # of this process's own work; SIGPROF ends it as SIGKILL would
"""

KILLED_AT_A_FILE = """
import os, signal, sys
left = {files}

def count(event, arguments):
    global left
    if event not in ("open", "os.rename", "os.link", "os.remove", "os.mkdir") or not str(arguments[0]).startswith({top!r}):
        return
    path, *_, flags = arguments
    if event == "open" and flags & (os.O_WRONLY | os.O_RDWR) and "/features/" in path and "/." not in path:
        print(path, "is written where readers find it", file=sys.stderr, flush=True)
        os._exit(77)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
"""


@pytest.mark.slow
def test_killed_at_random_until_done_gives_the_bytes_of_an_undisturbed_run(jobs_of):
    calm, stormy = jobs_of(name="calm"), jobs_of(name="stormy")
    assert finish(calm.start_extraction(calm.layout("extract-1")))[0] == 0
    root, generator, codes = stormy.layout("extract-1"), random.Random(7), []
    # The first of each kind ends it before there is anything, whatever the machine.
    for seconds, files in [(0.01, 5), *((generator.uniform(0.1, 0.5), generator.randrange(30, 90)) for _ in range(4))]:
        for code in (
            KILLED_AFTER_WORK.format(seconds=seconds),
            KILLED_AT_A_FILE.format(files=files, top=str(stormy.top)),
        ):
            codes.append(finish(stormy.start_extraction(root, code))[0])
            visible(stormy)
    assert codes[:2] == [-signal.SIGPROF, -signal.SIGKILL]
    assert set(codes) <= {-signal.SIGPROF, -signal.SIGKILL, 0}
    code, _, errors = finish(stormy.start_extraction(root))
    assert code == 0, errors
    assert visible(stormy) == visible(calm)
    assert len(visible(calm)) == SMALL
    assert [path for path in root.joinpath("scratch").rglob("*") if path.is_file()] == []


def test_a_full_disk_is_one_line_and_work_resumes_when_there_is_room(jobs_of):
    jobs = jobs_of()
    disk = jobs.features
    disk.mkdir(parents=True)
    small = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True, check=False)
    if small.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        code, _, errors = jobs.extract()
        assert code == 1
        assert errors.splitlines()[-1].startswith("error: the disk is full")
        assert "Traceback" not in errors
        kept = {name: (disk / name).stat().st_mtime_ns for name in visible(jobs)}
        assert 0 < len(kept) < SMALL
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        code, output, errors = jobs.extract()
        assert code == 0, errors
        assert len(visible(jobs)) == SMALL
        assert {name: (disk / name).stat().st_mtime_ns for name in kept} == kept, "what was finished was not done again"
        assert f"{SMALL - len(kept)} slides extracted" in output
    finally:
        subprocess.run(["umount", str(disk)], check=False)


WITH_ALL_HOSTS = """
import time
from pathlib import Path

def load(*_):
    while len(list(Path({notes!r}).glob("algo-?"))) < 3:  # every host has a slide in progress
        time.sleep(0.01)
    return ColourEncoder()

extract_features.Extraction._load = load
"""


@pytest.mark.slow
def test_three_hosts_at_once_extract_every_slide_once_into_one_folder(jobs_of):
    jobs = jobs_of(9)
    hosts = ["algo-1", "algo-2", "algo-3"]
    code = WITH_ALL_HOSTS.format(notes=str(jobs.features / "claims" / "three" / ".in-hand"))
    running = [jobs.start_extraction(jobs.layout("three", host=host, hosts=hosts), code) for host in hosts]
    done = [finish(process) for process in running]
    assert [code for code, _, _ in done] == [0, 0, 0], done
    seen = {host: taken(output) for host, (_, output, _) in zip(hosts, done, strict=True)}
    assert sorted(name for names in seen.values() for name in names) == [f"s{index}" for index in range(9)]
    assert all(seen.values())
    assert claimed(jobs, "three") == {name: host for host, names in seen.items() for name in names}
    assert len(visible(jobs)) == 9
    assert all(re.search(r"\d+\.\d% of it waiting for slides", output) for _, output, _ in done)
    code, output, _ = jobs.extract("ten-more")
    assert code == 0 and "0 slides extracted (0 failed), 9 finished before" in output


HELD_IN_THE_THIRD = """
import threading
from pathlib import Path
from pathology.wsi import prefetch
prefetch.lead = lambda _: 1e9  # the next slide is always prefetched
progress = prefetch.SlidePrefetcher.progress

def held(self, done, total):
    progress(self, done, total)
    if len(list(Path({features!r}).glob("*.json"))) == 2:
        self._next.path()  # it is here
        Path({marker!r}).touch()
        threading.Event().wait()

prefetch.SlidePrefetcher.progress = held
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_host_of_several_is_started_again_and_nothing_is_lost_or_done_again(jobs_of, tmp_path, number, code):
    jobs, marker = jobs_of(8), tmp_path / "held"
    order = largest_first(jobs)
    held = HELD_IN_THE_THIRD.format(features=str(jobs.features), marker=str(marker))
    process = jobs.start_extraction(jobs.layout("spot"), held)
    wait_until(marker.exists, process)
    process.send_signal(number)
    returned, output, _ = finish(process)
    assert returned == code
    before = {path.name: path.stat().st_mtime_ns for path in jobs.features.glob("*.json")}
    assert sorted(before) == sorted(f"{name}.json" for name in order[:2])
    assert sorted(visible(jobs)) == sorted(f"{name}.h5" for name in order[:2])
    assert claimed(jobs, "spot") == dict.fromkeys(order[:4], "algo-1"), "the slide in progress and the one ahead"
    if number == signal.SIGTERM:
        assert "stopped: finished slides are kept" in output
        assert not list((jobs.root("spot") / "scratch").iterdir())

    code, output, errors = jobs.extract("spot", host="algo-2")
    assert code == 0, errors
    assert sorted(taken(output)) == sorted(order[4:]), "another host leaves them to the one whose they are"
    code, output, errors = jobs.extract("spot")  # the same job, started again
    assert code == 0, errors
    assert taken(output) == order[2:4]
    assert "2 slides extracted (0 failed), 2 finished before" in output
    assert {name: (jobs.features / name).stat().st_mtime_ns for name in before} == before
    assert sorted(visible(jobs)) == [f"s{index}.h5" for index in range(8)]
    assert not list((jobs.root("spot") / "scratch").iterdir())


ENDLESS_DOWNLOAD = """
import threading
from concurrent.futures import ThreadPoolExecutor
from pathology.contracts.storage import FolderStore
download = FolderStore.download

def endless(store, uri, path):
    if uri.name != "s2.svs":  # the largest comes at once, the next one never: as a transfer does, by threads of its own
        (path.parent / ".part.tmp").write_bytes(b"part")
        ThreadPoolExecutor(1).submit(threading.Event().wait).result()
    download(store, uri, path)

FolderStore.download = endless
"""


@pytest.mark.parametrize("count", [1, 3])
def test_sigterm_ends_a_host_while_it_downloads(jobs_of, count):
    jobs = jobs_of(count)
    root = jobs.layout("endless")
    process = jobs.start_extraction(root, ENDLESS_DOWNLOAD)
    wait_until((root / "scratch" / "algo-1" / ".part.tmp").exists, process)
    if count == 3:
        wait_until((jobs.features / "s2.json").exists, process)  # and now it waits for what was to come ahead
    stopped(jobs, process)
    assert set(claimed(jobs, "endless")) == ({"s0"} if count == 1 else {"s1", "s2"})


DROPPED = """
import threading
from pathlib import Path

def load(self, _):
    self.prefetcher._current.path()  # the slide is here
    try:
        Path({marker!r}).touch()
        threading.Event().wait()
    except BaseException:
        pass  # as Python does with what is raised inside a destructor
    threading.Event().wait()

extract_features.Extraction._load = load
extract_features.GRACE = 0
"""


def test_sigterm_ends_a_host_where_the_exception_is_dropped(jobs_of, tmp_path):
    jobs, marker = jobs_of(1), tmp_path / "loading"
    process = jobs.start_extraction(jobs.layout("endless"), DROPPED.format(marker=str(marker)))
    wait_until(marker.exists, process)
    assert list((jobs.root("endless") / "scratch" / "algo-1").iterdir())
    stopped(jobs, process)
    assert claimed(jobs, "endless") == {"s0": "algo-1"}


def stopped(jobs, process):
    """Send SIGTERM to a host, and hold that it ends as one that may be started again."""
    process.send_signal(signal.SIGTERM)
    code, output, errors = finish(process)
    assert code == 143, errors
    assert "stopped: finished slides are kept" in output and "Traceback" not in errors
    assert not list((jobs.root("endless") / "scratch").iterdir())
