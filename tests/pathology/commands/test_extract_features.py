"""Extraction as a job: claimed, resumed, repeated and stopped, with failures as rows and no half-written file."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from extraction_jobs import Jobs, finish
from pathology.commands import extract_features
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.settings_msi import ExtractFeatures, Tiling
from pathology.contracts.storage import FolderStore
from pathology.job import Job
from pathology.wsi.features import read_features

from demo.slides import Look, paint, write_svs


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three small painted slides."""
    folder = tmp_path_factory.mktemp("slides")
    for number in range(3):
        pixels = paint(Look(800, 0.7, 1, 1), np.random.default_rng(number))
        write_svs(folder / f"s{number}.svs", pixels[: 900 + 50 * number, :1000])
    return folder


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path)


@pytest.fixture
def work(jobs, monkeypatch):
    """An extraction of the cohort by a host alone, in this process."""

    def make(name):
        settings = ExtractFeatures(features="s3://bucket/features")
        monkeypatch.setenv("PATHOLOGY_ROOT", str(layout(jobs, name, settings, "algo-1", ["algo-1"])))
        return extract_features.Extraction(Job.current(), settings, jobs.cohort, FolderStore(jobs.uris))

    return make


def layout(jobs, name, settings, host, hosts):
    """A job's root on a host of so many."""
    root = jobs.layout(name, settings, host=host)
    (root / "config/resourceconfig.json").write_text(json.dumps({"current_host": host, "hosts": hosts}))
    return root


def wait_until(happened):
    """Wait for something that happens in another thread or process; fail after two minutes without it."""
    limit = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.005)


def test_slides_of_every_kind_end_as_rows_and_finished_ones_are_skipped(jobs, slides, tmp_path):
    broken = tmp_path / "broken.svs"
    broken.write_bytes((slides / "s0.svs").read_bytes()[:50_000])
    glass = tmp_path / "glass.svs"
    write_svs(glass, np.full((600, 600, 3), 243, np.uint8))
    for name, path in (("good-0", slides / "s0.svs"), ("good-1", slides / "s1.svs"), ("broken", broken), ("glass", glass)):
        jobs.add(path, name)
    jobs.add(slides / "s2.svs", "swapped", md5="0" * 32)
    code, output, errors = jobs.extract()
    assert code == 0, errors
    order = [row.slide_id for row in sorted(jobs.cohort, key=lambda row: -row.bytes)]
    assert re.findall(r"Processing slide #(\d): (\S+)", output) == [(str(n), name) for n, name in enumerate(order, 1)]
    assert "5 slides extracted (2 failed), 0 finished before" in output
    assert "truncated" in jobs.sidecar("broken")["reason"]
    assert "md5" in jobs.sidecar("swapped")["reason"]
    assert jobs.sidecar("glass")["status"] == "empty"
    good = jobs.sidecar("good-0")
    read = read_features(jobs.features / "good-0.h5", "good-0", good["sha256"])
    assert len(read.features) == good["tiles"] > 0 and (good["mpp"], good["mpp_source"]) == (0.5, "vendor")
    scratch = jobs.top / "jobs" / "extract-1" / "algo-1" / "scratch"
    assert list(scratch.iterdir()) == []

    before = {path.name: path.stat().st_mtime_ns for path in jobs.features.glob("*.h5")}
    code, output, _ = jobs.extract("extract-2")
    assert code == 0 and "2 slides extracted (2 failed), 3 finished before" in output
    assert {path.name: path.stat().st_mtime_ns for path in jobs.features.glob("*.h5")} == before


@pytest.mark.slow
def test_what_changed_is_extracted_again_and_nothing_else(jobs, slides):
    for number in range(3):
        jobs.add(slides / f"s{number}.svs", f"s{number}")
    assert jobs.extract()[0] == 0
    original = {path.name: path.read_bytes() for path in jobs.features.glob("*.h5")}
    (jobs.features / "s0.h5").unlink()
    jobs.cohort[1] = jobs.cohort[1].model_copy(update={"mpp": 0.25})
    damaged = jobs.features / "s2.h5"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x77")
    code, output, _ = jobs.extract("extract-2")
    assert code == 0 and "3 slides extracted (0 failed), 0 finished before" in output
    assert (jobs.features / "s0.h5").read_bytes() == original["s0.h5"]
    assert (jobs.features / "s2.h5").read_bytes() == original["s2.h5"]
    assert jobs.sidecar("s1")["mpp_source"] == "cohort" and jobs.sidecar("s1")["cohort_mpp"] == 0.25
    assert "0 slides extracted (0 failed), 3 finished before" in jobs.extract("extract-3")[1]


@pytest.mark.slow
def test_two_hosts_share_the_cohort_without_double_work(jobs, slides):
    for number in range(6):
        jobs.add(slides / f"s{number % 3}.svs", f"s{number}")
    settings = ExtractFeatures(features="s3://bucket/features")
    running = [jobs.start("extract_features", jobs.layout("shared", settings, host=host)) for host in ("algo-1", "algo-2")]
    done = [finish(process) for process in running]
    assert [code for code, _, _ in done] == [0, 0]
    seen = [name for _, output, _ in done for name in re.findall(r"Processing slide #\d: (\S+)", output)]
    assert sorted(seen) == [f"s{number}" for number in range(6)]
    assert len(list(jobs.features.glob("*.h5"))) == 6
    claims = jobs.features / "claims" / "shared"
    assert {(claims / name).read_text() for name in seen} <= {"algo-1", "algo-2"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
@pytest.mark.slow
def test_a_stopped_host_leaves_nothing_half_written_and_takes_up_its_own_claims(jobs, slides, number, code):
    for index in range(6):
        jobs.add(slides / f"s{index % 3}.svs", f"s{index}")
    process = jobs.start("extract_features", jobs.layout("spot", ExtractFeatures(features="s3://bucket/features")))
    limit = time.monotonic() + 120
    while not list(jobs.features.glob("*.json")) and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(number)
    returned, output, _ = finish(process)
    assert returned == code
    finished = {path.stem for path in jobs.features.glob("*.json")}
    assert 1 <= len(finished) < 6
    for name in finished:
        assert read_features(jobs.features / f"{name}.h5", name, jobs.sidecar(name)["sha256"])
    if number == signal.SIGTERM:
        assert "stopped: finished slides are kept" in output
        assert not list((jobs.top / "jobs" / "spot" / "algo-1" / "scratch").iterdir())
    code, output, errors = jobs.extract("spot")  # the same job, started again
    assert code == 0, errors
    assert f"{6 - len(finished)} slides extracted (0 failed), {len(finished)} finished before" in output
    hashes = {hashlib.sha256((jobs.features / f"s{n}.h5").read_bytes()).hexdigest() for n in (0, 3)}
    assert hashes == {jobs.sidecar("s0")["sha256"], jobs.sidecar("s3")["sha256"]}


def test_slides_on_efs_are_read_where_they_are_mounted(jobs, slides):
    jobs.add(slides / "s0.svs", "a", uri="efs://fs-0123456789abcdef0/datasets/tcga/a.svs")
    jobs.add(slides / "s1.svs", "b", uri="efs://fs-0123456789abcdef0/datasets/b.svs")
    mount = jobs.top / "jobs" / "efs" / "algo-1" / "processing" / "input" / "slides"
    mount.parent.mkdir(parents=True)
    (jobs.uris / "efs/fs-0123456789abcdef0/datasets").rename(mount)
    code, output, errors = jobs.extract("efs", inputs={"slides": "/opt/ml/processing/input/slides"})
    assert code == 0, errors
    assert "2 slides extracted (0 failed)" in output
    assert (mount / "tcga/a.svs").is_file() and (mount / "b.svs").is_file()


def test_a_host_that_finds_all_finished_never_loads_torch(jobs, slides, monkeypatch, capsys):
    jobs.add(slides / "s0.svs", "s0")
    assert jobs.extract()[0] == 0
    root = jobs.layout("again", ExtractFeatures(features="s3://bucket/features"))
    monkeypatch.setenv("PATHOLOGY_ROOT", str(root))
    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(jobs.uris))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(extract_features.Extraction, "_load", lambda *_: pytest.fail("the encoder was loaded"))
    extract_features.main(Job.current())
    assert "0 slides extracted (0 failed), 1 finished before" in capsys.readouterr().out


def test_a_tile_size_that_the_encoder_does_not_take_is_refused_at_once(jobs, slides, monkeypatch):
    jobs.add(slides / "s0.svs", "s0")
    settings = ExtractFeatures(features="s3://bucket/features", tile_size=256)
    monkeypatch.setenv("PATHOLOGY_ROOT", str(jobs.layout("wrong", settings)))
    with pytest.raises(RequestError, match="tile-size 256: encoder tiny-seeded takes 224 px"):
        extract_features.Extraction(Job.current(), settings, jobs.cohort, FolderStore(jobs.uris))


def test_a_real_slide_through_the_job(jobs, shared_data):
    for name in ("CMU-1-Small-Region.svs", "corrupt-tile.svs", "not-a-tiff.svs", "unopenable.tiff"):
        jobs.add(shared_data / "slides" / name, name.split(".")[0])
    code, _, errors = jobs.extract()
    assert code == 0, errors
    real = jobs.sidecar("CMU-1-Small-Region")
    assert (real["status"], real["tiles"], real["mpp"], real["mpp_source"]) == ("ok", 47, 0.499, "vendor")
    for name, words in (
        ("corrupt-tile", "nothing of it can be read"),
        ("not-a-tiff", "no slide format"),
        ("unopenable", "compression"),
    ):
        assert jobs.sidecar(name)["status"] == "failed" and words in jobs.sidecar(name)["reason"]
    assert sorted(path.name for path in jobs.features.glob("*.h5")) == ["CMU-1-Small-Region.h5"]
    assert Tiling().hash(jobs.card.name, jobs.card.sha256) == jobs.features.name
    assert not list((jobs.top / "jobs" / "extract-1" / "algo-1" / "scratch").iterdir())


@pytest.mark.slow
def test_a_killed_host_of_several_is_started_again_and_nothing_is_lost_or_done_again(jobs, slides):
    for index in range(8):
        jobs.add(slides / f"s{index % 3}.svs", f"s{index}")
    settings = ExtractFeatures(features="s3://bucket/features")
    process = jobs.start("extract_features", jobs.layout("killed", settings))
    claims = jobs.features / "claims" / "killed"
    wait_until(lambda: len(list(jobs.features.glob("*.json"))) >= 2)
    process.send_signal(signal.SIGKILL)
    finish(process)
    before = {path.name: path.stat().st_mtime_ns for path in jobs.features.glob("*.json")}
    assert len(before) < 8
    unfinished = {path.name for path in claims.iterdir() if path.is_file()} - {name.removesuffix(".json") for name in before}
    assert len(unfinished) <= 2  # the slide in hand and the one ahead
    running = [jobs.start("extract_features", jobs.layout("killed", settings, host=host)) for host in ("algo-1", "algo-2")]
    done = [finish(process) for process in running]
    assert [code for code, _, _ in done] == [0, 0], done
    seen = [re.findall(r"Processing slide #\d: (\S+)", output) for _, output, _ in done]
    assert sorted(seen[0] + seen[1]) == sorted(
        {f"s{index}" for index in range(8)} - {name.removesuffix(".json") for name in before}
    )
    assert unfinished <= set(seen[0])  # the other host leaves them to the one whose they are
    assert {name: (jobs.features / name).stat().st_mtime_ns for name in before} == before
    for index in range(8):
        assert read_features(jobs.features / f"s{index}.h5", f"s{index}", jobs.sidecar(f"s{index}")["sha256"])
    assert not list((jobs.top / "jobs" / "killed" / "algo-1" / "scratch").iterdir())


@pytest.mark.slow
def test_three_hosts_at_once_extract_every_slide_once_into_one_folder(jobs, slides):
    for index in range(9):
        jobs.add(slides / f"s{index % 3}.svs", f"s{index}")
    settings = ExtractFeatures(features="s3://bucket/features")
    hosts = ["algo-1", "algo-2", "algo-3"]
    running = [jobs.start("extract_features", layout(jobs, "three", settings, host, hosts)) for host in hosts]
    done = [finish(process) for process in running]
    assert [code for code, _, _ in done] == [0, 0, 0], done
    seen = [name for _, output, _ in done for name in re.findall(r"Processing slide #\d: (\S+)", output)]
    assert sorted(seen) == [f"s{index}" for index in range(9)]
    assert all(re.search(r"\d+\.\d% of it waiting for slides", output) for _, output, _ in done)
    code, output, _ = jobs.extract("ten-more")
    assert code == 0 and "0 slides extracted (0 failed), 9 finished before" in output


def test_the_next_slide_is_fetched_while_one_is_extracted_and_each_is_deleted(jobs, slides, work, monkeypatch):
    for index in range(4):
        jobs.add(slides / f"s{index % 3}.svs", f"s{index}", md5="" if index else "0" * 32)
    extraction = work("ahead")
    seen, most = [], []

    def extract(path, slide_id, *_, progress, **__):
        seen.append(slide_id)
        progress(1, 10**9)  # hours left: nothing is sent for
        time.sleep(0.1)
        assert len(list(path.parent.glob("*.svs"))) == 1
        progress(9, 10)
        if len(seen) == 1:  # the largest is in hand until the next one is here
            wait_until((path.parent / "s1.svs").exists)
        most.append(len(list(path.parent.glob("*.svs"))))
        raise DataError("seen")

    monkeypatch.setattr("pathology.wsi.extraction.extract_slide", extract)
    extract_features.share_out(extraction)
    assert seen == ["s2", "s1", "s3"] and most[0] == 2 and max(most) == 2
    assert {jobs.sidecar(name)["reason"] for name in seen} == {"seen"} and "md5" in jobs.sidecar("s0")["reason"]
    assert not list(extraction.job.scratch.iterdir())


def test_a_store_that_fails_while_fetching_ahead_ends_the_host_after_the_slide_in_hand(jobs, slides, work, monkeypatch):
    for index in range(3):
        jobs.add(slides / f"s{index}.svs", f"s{index}")
    extraction = work("failing")
    download = FolderStore.download

    def failing(store, uri, path):
        if uri.name == "s1.svs":
            raise OSError(28, "No space left on device")
        download(store, uri, path)

    monkeypatch.setattr(FolderStore, "download", failing)
    with pytest.raises(OSError, match="No space left"):
        extract_features.share_out(extraction)
    assert jobs.sidecar("s2")["status"] == "ok"  # the largest, in hand
    assert not (jobs.features / "s1.json").exists() and not list(extraction.job.scratch.iterdir())


def test_a_download_ahead_waits_for_room_on_the_disk(jobs, slides, work, monkeypatch):
    for index in range(3):
        jobs.add(slides / f"s{index}.svs", f"s{index}")
    extraction = work("full")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10_000))
    most = []

    def extract(path, *_, progress, **__):
        progress(1, 1)
        time.sleep(0.1)
        most.append(len(list(path.parent.glob("*.svs"))))
        raise DataError("seen")

    monkeypatch.setattr("pathology.wsi.extraction.extract_slide", extract)
    extract_features.share_out(extraction)
    assert most == [1, 1, 1]


SLOW = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from pathology.commands import extract_features
from pathology.contracts.storage import FolderStore
from pathology.job import run
download = FolderStore.download

def slow(store, uri, path):
    if uri.name != "s2.svs":  # the largest comes at once, the next one never: as a transfer does, by threads of its own
        (path.parent / ".part.tmp").write_bytes(b"part")
        print("downloading", flush=True)
        ThreadPoolExecutor(1).submit(time.sleep, 100).result()
    download(store, uri, path)

FolderStore.download = slow
run(extract_features.main)
"""


@pytest.mark.parametrize("count", [1, 3])
def test_sigterm_ends_a_host_in_seconds_while_it_downloads(jobs, slides, count):
    for index in range(count):
        jobs.add(slides / f"s{index}.svs", f"s{index}")
    root = jobs.layout("slow", ExtractFeatures(features="s3://bucket/features"))
    environment = {**os.environ, "PATHOLOGY_ROOT": str(root), "PATHOLOGY_URI_ROOT": str(jobs.uris)}
    command = [sys.executable, "-c", SLOW]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until((root / "scratch" / "algo-1" / ".part.tmp").exists)
    if count == 3:
        wait_until((jobs.features / "s2.json").exists)  # and now it waits for what was to come ahead
    since = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, output, errors = finish(process)
    assert time.monotonic() - since < 30  # the download would take 100 s
    assert code == 143, errors
    assert "stopped: finished slides are kept" in output and "Traceback" not in errors
    assert not list((root / "scratch").iterdir())
    claims = {path.name for path in (jobs.features / "claims" / "slow").iterdir() if path.is_file()}
    assert claims == ({"s0"} if count == 1 else {"s1", "s2"})
