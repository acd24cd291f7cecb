"""Extraction as a job: claimed, resumed and repeated, with failures as rows, and only what changed done again."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from colour_encoder import ColourEncoder
from extraction_jobs import FEATURES, Jobs, finish
from made_slides import small_slides
from pathology.commands import extract_features
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.extraction.extract import ExtractFeaturesJob
from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.log_lines import SLIDES_DONE
from pathology.contracts.storage import FolderStore
from pathology.job import Job
from pathology.wsi.features import read_features

from demo.slides import Look, paint, write_svs
from tests.tiny_encoder import copy_tiny_encoder
from tests.waiting import MAX_WAIT_SECONDS, until


@pytest.fixture(scope="module")
def slides():
    """Small painted slides, s0.svs the smallest."""
    return small_slides()


@pytest.fixture
def jobs(tmp_path):
    with Jobs(tmp_path) as made:
        yield made


@pytest.fixture
def work(jobs, monkeypatch):
    """An extraction of the cohort by a host alone, in this process."""

    def make(name):
        monkeypatch.setenv("PATHOLOGY_ROOT", str(jobs.layout(name, hosts=["algo-1"])))
        monkeypatch.setattr(extract_features.Extraction, "_load", lambda *_: ColourEncoder())
        settings = ExtractFeaturesJob(features=FEATURES)
        return extract_features.Extraction(Job.current(), settings, jobs.to_extract(), FolderStore(jobs.uris))

    return make


NO_NETWORK = """
import socket

def refused(self, address, *_):
    if self.family != socket.AF_UNIX:
        raise RuntimeError(f"somebody called {address}")

socket.socket.connect = socket.socket.connect_ex = refused
socket.getaddrinfo = lambda host, *_, **__: (_ for _ in ()).throw(RuntimeError(f"somebody looked up {host}"))
"""


@pytest.fixture
def no_network(tmp_path, monkeypatch):
    """Every Python process that is started refuses to call anybody."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "guard"), prepend=os.pathsep)
    probe = "import socket; socket.create_connection(('127.0.0.1', 9))"
    guarded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert "somebody looked up 127.0.0.1" in guarded.stderr, "the guard is there"


def test_slides_of_every_kind_end_as_rows_and_finished_ones_are_skipped(slides, tmp_path, no_network):
    """As the service runs it, with torch and an encoder. Its URIs are folders: whatever else it asked for would be a call too many."""
    with Jobs(tmp_path, copy_tiny_encoder) as jobs:
        (tmp_path / "broken.svs").write_bytes((slides / "s0.svs").read_bytes()[:50_000])
        write_svs(tmp_path / "glass.svs", np.full((600, 600, 3), 243, np.uint8))
        for name, path in (("good-0", slides / "s0.svs"), ("good-1", slides / "s1.svs")):
            jobs.add(path, name)
        for name in ("broken", "glass"):
            jobs.add(tmp_path / f"{name}.svs", name)
        jobs.add(slides / "s2.svs", "swapped", md5="0" * 32)
        code, output, errors = finish(jobs.start(jobs.layout("extract-1"), "-m", "pathology.commands.extract_features"))
        assert code == 0, errors
        order = [row.slide_id for row in sorted(jobs.cohort, key=lambda row: -row.bytes)]
        assert re.findall(r"Processing slide #(\d): (\S+)", output) == [(str(n), name) for n, name in enumerate(order, 1)]
        done = re.findall(f"^{SLIDES_DONE}$", output, re.MULTILINE)
        assert done == [("", str(number), "5") for number in range(6)]
        assert "5 slides extracted (2 failed), 0 finished before" in output
        assert "truncated" in jobs.sidecar("broken")["reason"]
        assert "md5" in jobs.sidecar("swapped")["reason"]
        assert jobs.sidecar("glass")["status"] == "empty"
        good = jobs.sidecar("good-0")
        read = read_features(jobs.features / "good-0.h5", "good-0", good["sha256"])
        assert len(read.features) == good["tiles"] > 0 and (good["mpp"], good["mpp_source"]) == (0.5, "vendor")
        assert read.attributes["encoder"] == "tiny-seeded" and "random" in read.attributes["remark"]
        assert good["reader"] == "tiff"
        assert list((jobs.root("extract-1") / "scratch").iterdir()) == []

        before = {path.name: path.stat().st_mtime_ns for path in jobs.features.glob("*.h5")}
        code, output, _ = jobs.extract("extract-2")
        assert code == 0 and "2 slides extracted (2 failed), 3 finished before" in output
        assert re.findall(f"^{SLIDES_DONE}$", output, re.MULTILINE)[-1] == ("", "5", "5")
        assert {path.name: path.stat().st_mtime_ns for path in jobs.features.glob("*.h5")} == before


def test_what_changed_is_extracted_again_and_nothing_else(jobs, slides):
    """A lost or a damaged file, a corrected MPP, a replaced slide, another setting: each costs what it touches."""
    for number in range(3):
        jobs.add(slides / f"s{number}.svs", f"s{number}")
    assert "3 slides extracted (0 failed), 0 finished before" in jobs.extract("first")[1]
    original = {path.name: path.read_bytes() for path in jobs.features.glob("*.h5")}
    assert "0 slides extracted (0 failed), 3 finished before" in jobs.extract("again")[1]

    (jobs.features / "s0.h5").unlink()
    jobs.cohort[1] = jobs.cohort[1].model_copy(update={"mpp": 0.25})
    damaged = jobs.features / "s2.h5"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x77")
    assert "3 slides extracted (0 failed), 0 finished before" in jobs.extract("fixed")[1]
    assert (jobs.features / "s0.h5").read_bytes() == original["s0.h5"]
    assert (jobs.features / "s2.h5").read_bytes() == original["s2.h5"]
    assert jobs.sidecar("s1")["mpp_source"] == "cohort" and jobs.sidecar("s1")["cohort_mpp"] == 0.25
    assert "0 slides extracted (0 failed), 3 finished before" in jobs.extract("settled")[1]

    jobs.cohort[0] = jobs.cohort[0].model_copy(update={"mpp": 0.45})
    assert "1 slides extracted" in jobs.extract("corrected")[1]
    assert jobs.sidecar("s0")["mpp"] == 0.45
    shutil.copy(slides / "s3.svs", jobs.uris / "s3/bucket/slides/s1.svs")
    jobs.cohort[1] = jobs.cohort[1].model_copy(update={"bytes": (slides / "s3.svs").stat().st_size})
    assert "1 slides extracted" in jobs.extract("replaced")[1]
    assert "3 slides extracted" in jobs.extract("other", max_tiles=5)[1]
    assert "0 slides extracted" in jobs.extract("settled-again")[1]


def test_what_was_left_out_of_a_slide_is_in_its_sidecar_and_in_the_log(jobs, tmp_path):
    pixels = paint(Look(800, 0.7, 1, 1), np.random.default_rng(5))[:1500, :1500]
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as tiff:
        for number, level in enumerate((pixels, pixels[:700, :700][:, ::-1])):
            tiff.write(
                np.ascontiguousarray(level), tile=(256, 256), photometric="rgb", subfiletype=number, metadata=None,
                resolution=(20000, 20000), resolutionunit="CENTIMETER",
            )  # fmt: skip
    jobs.add(path, "s")
    code, output, errors = jobs.extract()
    assert code == 0, errors
    (warning,) = jobs.sidecar("s")["warnings"]
    assert "level 1 of its file (700 × 700 px) is not read" in warning and f"warning: s: {warning}" in output
    assert jobs.sidecar("s")["outline_origin"] == [0, 0]


def test_a_slide_under_two_names_has_one_content(jobs, slides):
    jobs.add(slides / "s0.svs", "one")
    jobs.add(slides / "s0.svs", "two")
    assert jobs.extract()[0] == 0
    one, two = jobs.sidecar("one"), jobs.sidecar("two")
    assert one["content_sha256"] == two["content_sha256"] != "" and one["sha256"] != two["sha256"]


def test_slides_on_efs_are_read_where_they_are_mounted(jobs, slides):
    jobs.add(slides / "s0.svs", "a", uri="efs://fs-0123456789abcdef0/datasets/tcga/a.svs")
    jobs.add(slides / "s1.svs", "b", uri="efs://fs-0123456789abcdef0/datasets/b.svs")
    mount = jobs.root("efs") / "processing" / "input" / "slides"
    mount.parent.mkdir(parents=True)
    (jobs.uris / "efs/fs-0123456789abcdef0/datasets").rename(mount)
    code, output, errors = jobs.extract("efs", inputs={"slides": "/opt/ml/processing/input/slides"})
    assert code == 0, errors
    assert "2 slides extracted (0 failed)" in output
    assert (mount / "tcga/a.svs").is_file() and (mount / "b.svs").is_file()


def test_a_host_that_finds_all_finished_never_loads_the_encoder(jobs, slides, monkeypatch, capsys):
    """Nor torch, which nothing else would load."""
    jobs.add(slides / "s0.svs", "s0")
    assert jobs.extract()[0] == 0
    for name, value in jobs.environment(jobs.layout("again")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(extract_features.Extraction, "_load", lambda *_: pytest.fail("the encoder was loaded"))
    extract_features.main(Job.current())
    assert "0 slides extracted (0 failed), 1 finished before" in capsys.readouterr().out


def test_a_tile_size_that_the_encoder_does_not_take_is_refused_at_once(jobs, slides, monkeypatch):
    jobs.add(slides / "s0.svs", "s0")
    settings = ExtractFeaturesJob(features=FEATURES, tile_size=256)
    monkeypatch.setenv("PATHOLOGY_ROOT", str(jobs.layout("wrong", settings)))
    with pytest.raises(RequestError, match="tile-size 256: encoder colours takes 224 px"):
        extract_features.Extraction(Job.current(), settings, jobs.to_extract(), FolderStore(jobs.uris))


def test_a_real_slide_through_the_job(jobs, shared_data):
    for name in ("CMU-1-Small-Region.svs", "corrupt-tile.svs", "not-a-tiff.svs", "unopenable.tiff"):
        jobs.add(shared_data / "slides" / name, name.split(".")[0])
    code, _, errors = jobs.extract()
    assert code == 0, errors
    real = jobs.sidecar("CMU-1-Small-Region")
    assert (real["status"], real["tiles"], real["mpp"], real["mpp_source"]) == ("ok", 47, 0.499, "vendor")
    for name, words in (
        ("corrupt-tile", "nothing of it can be read"),
        ("not-a-tiff", "not a slide format"),
        ("unopenable", "compression"),
    ):
        assert jobs.sidecar(name)["status"] == "failed" and words in jobs.sidecar(name)["reason"]
    assert sorted(path.name for path in jobs.features.glob("*.h5")) == ["CMU-1-Small-Region.h5"]
    assert Tiling().hash(jobs.manifest.name, jobs.manifest.sha256) == jobs.features.name
    assert not list((jobs.root("extract-1") / "scratch").iterdir())


def test_the_next_slide_is_prefetched_while_one_is_extracted_and_each_is_deleted(jobs, slides, work, monkeypatch):
    for index in range(4):
        jobs.add(slides / f"s{index % 3}.svs", f"s{index}", md5="" if index else "0" * 32)
    extraction = work("ahead")
    seen, on_disk = [], []

    def extract(path, slide_id, *_, progress, **__):
        seen.append(slide_id)
        progress(1, 10**9)  # hours left
        assert extraction.prefetcher._next is None, "nothing is prefetched"
        assert len(list(path.parent.glob("*.svs"))) == 1
        progress(9, 10)
        if len(seen) == 1:  # the largest is in progress until the next one is here
            until((path.parent / "s1.svs").exists)
        on_disk.append(len(list(path.parent.glob("*.svs"))))
        raise DataError("seen")

    monkeypatch.setattr("pathology.wsi.extraction.extract_slide", extract)
    extract_features.run_claims(extraction)
    assert seen == ["s2", "s1", "s3"] and on_disk[0] == 2 and max(on_disk) == 2
    assert {jobs.sidecar(name)["reason"] for name in seen} == {"seen"} and "md5" in jobs.sidecar("s0")["reason"]
    assert not list(extraction.job.scratch.iterdir())


def test_a_store_that_fails_while_prefetching_ends_the_host_after_the_slide_in_progress(jobs, slides, work, monkeypatch):
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
        extract_features.run_claims(extraction)
    assert jobs.sidecar("s2")["status"] == "ok"  # the largest, in progress
    assert not (jobs.features / "s1.json").exists() and not list(extraction.job.scratch.iterdir())


class Room(threading.Event):
    """Says when somebody waits for it."""

    def __init__(self):
        super().__init__()
        self.asked = threading.Event()

    def wait(self, timeout=None):
        self.asked.set()
        return super().wait(timeout)


def test_a_download_ahead_waits_for_room_on_the_disk(jobs, slides, work, monkeypatch):
    for index in range(3):
        jobs.add(slides / f"s{index}.svs", f"s{index}")
    extraction = work("full")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10_000))
    room = extraction.prefetcher._room = Room()
    room.set()
    on_disk = []

    def extract(path, *_, progress, **__):
        room.asked.clear()
        progress(1, 1)
        if extraction.prefetcher._next.row() is not None:
            assert room.asked.wait(MAX_WAIT_SECONDS)
        on_disk.append(len(list(path.parent.glob("*.svs"))))
        raise DataError("seen")

    monkeypatch.setattr("pathology.wsi.extraction.extract_slide", extract)
    extract_features.run_claims(extraction)
    assert on_disk == [1, 1, 1]


def test_a_mask_of_the_persons_own_is_fetched_proven_and_part_of_what_is_finished(jobs, work, slides):
    masks = []
    for side in (448, 224):
        ring = [[224, 224], [224 + side, 224], [224 + side, 224 + side], [224, 224 + side], [224, 224]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        masks.append(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}).encode())
    path = jobs.uris / "s3/bucket/slides/masks/s0.geojson"
    path.parent.mkdir(parents=True)
    path.write_bytes(masks[0])
    uri, (first, second) = "s3://bucket/slides/masks/s0.geojson", (hashlib.sha256(mask).hexdigest() for mask in masks)
    jobs.add(slides / "s0.svs", "s0", mask_uri=uri, mask_sha256=first)
    extraction = work("own")
    extract_features.run_claims(extraction)
    row, (own,) = jobs.cohort[0], jobs.to_extract()
    sidecar = extraction.layout.read_sidecar(extraction.store, "s0")
    assert (sidecar.status, sidecar.tiles, sidecar.tissue, sidecar.mask_uri) == ("ok", 4, "own mask", uri)
    assert extraction.finished(own)
    path.write_bytes(masks[1])
    changed = row.model_copy(update={"mask_sha256": second})
    for mask in ({"mask_sha256": second}, {"mask_sha256": "", "mask_uri": ""}):
        assert not extraction.finished(own.model_copy(update=mask))
    jobs.cohort[:] = [row.model_copy(update={"mask_sha256": "0" * 64})]
    stale = work("stale")
    extract_features.run_claims(stale)
    sidecar = stale.layout.read_sidecar(stale.store, "s0")
    assert sidecar.status == "failed" and "changed since the cohort was prepared: prepare it again" in sidecar.reason
    jobs.cohort[:] = [changed]
    again = work("again")
    extract_features.run_claims(again)
    assert again.layout.read_sidecar(again.store, "s0").tiles == 1


def test_a_slide_of_tissue_alone_is_warned_of_on_screen_and_in_the_sidecar(jobs, work, tmp_path, capsys):
    noise = np.random.default_rng(1).normal(size=(60, 60, 3)).repeat(10, 0).repeat(10, 1)
    write_svs(tmp_path / "full.svs", np.clip(np.array([205, 130, 180]) + noise * 14, 0, 255).astype(np.uint8))
    jobs.add(tmp_path / "full.svs", "full")
    extraction = work("full")
    extract_features.run_claims(extraction)
    sidecar = extraction.layout.read_sidecar(extraction.store, "full")
    assert sidecar.tissue_fraction > 0.95 and "of it is tissue: look at its picture" in sidecar.warnings[-1]
    assert f"warning: full: {sidecar.warnings[-1]}" in capsys.readouterr().out
