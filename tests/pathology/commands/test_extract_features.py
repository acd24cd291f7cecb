"""Extraction as a job: claimed, resumed, repeated and stopped, with failures as rows and no half-written file."""

import hashlib
import re
import signal
import time

import numpy as np
import pytest
from extraction_jobs import Jobs, finish
from pathology.commands import extract_features
from pathology.contracts.errors import RequestError
from pathology.contracts.settings import ExtractFeatures, Tiling
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
        extract_features.Extraction(Job.current(), settings, FolderStore(jobs.uris))


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
