"""Extraction under kill -9, on a full disk, and beside others: nothing lost, nothing half-written, the same bytes in the end."""

import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from extraction_jobs import FEATURES, Jobs, finish
from pathology.contracts.features import Sidecar
from pathology.contracts.settings_msi import ExtractFeatures
from pathology.wsi.features import read_features

from demo.slides import Look, paint, write_svs

SLIDES = 5


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """A few painted slides of different sizes."""
    folder = tmp_path_factory.mktemp("slides")
    generator = np.random.default_rng(3)
    whole = paint(Look(800, 0.7, 1, 1), generator)
    for number in range(SLIDES):
        write_svs(folder / f"s{number}.svs", whole[: 1000 + 120 * number, : 1500 - 60 * number])
    return sorted(folder.iterdir())


def jobs_on(top, slides):
    jobs = Jobs(top)
    for slide in slides:
        jobs.add(slide, slide.stem)
    return jobs


def visible(jobs):
    """Every file that a reader would take for finished, and a check that it is whole."""
    found = {}
    for path in sorted(jobs.features.glob("*.h5")) if jobs.features.is_dir() else []:
        read_features(path, path.stem)
        found[path.name] = path.read_bytes()
    for path in sorted(jobs.features.glob("*.json")) if jobs.features.is_dir() else []:
        sidecar = Sidecar.from_json(path.read_bytes(), path.name)
        if sidecar.status == "ok":
            read_features(path.with_suffix(".h5"), sidecar.slide_id, sidecar.sha256)
    return found


@pytest.mark.slow
def test_killed_at_random_until_done_gives_the_bytes_of_an_undisturbed_run(tmp_path, slides):
    calm, stormy = jobs_on(tmp_path / "calm", slides), jobs_on(tmp_path / "stormy", slides)
    assert calm.extract()[0] == 0
    generator, kills = random.Random(7), 0
    root = stormy.layout("extract-1", ExtractFeatures(features=FEATURES))
    while True:
        process = stormy.start("extract_features", root)
        try:
            # Longer each time, so that it ends; the first seconds are imports.
            process.wait(timeout=generator.uniform(2, 6) + kills)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        visible(stormy)
        if finish(process)[0] == 0:
            break
        assert kills < 12, "it never ended"
    assert kills > 0
    assert visible(stormy) == visible(calm)
    assert len(visible(calm)) == SLIDES
    leftovers = [path for path in root.joinpath("scratch").rglob("*") if path.is_file()]
    assert leftovers == []


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_work_goes_on_when_there_is_room(tmp_path, slides):
    jobs = jobs_on(tmp_path / "top", slides)
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
        kept = visible(jobs)
        assert 0 < len(kept) < SLIDES
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        begun = time.time()
        code, output, errors = jobs.extract()
        assert code == 0, errors
        assert len(visible(jobs)) == SLIDES
        assert {name for name in kept if (disk / name).stat().st_mtime < begun} == set(kept), (
            "what was finished was not done again"
        )
        assert f"{SLIDES - len(kept)} slides extracted" in output
    finally:
        subprocess.run(["umount", str(disk)], check=False)


@pytest.mark.slow
def test_what_changed_is_extracted_again_and_nothing_else(tmp_path, slides):
    """A corrected MPP, a replaced slide, another setting: each costs what it touches."""
    jobs = jobs_on(tmp_path, slides[:3])
    assert "3 slides extracted" in jobs.extract("first")[1]
    assert "0 slides extracted" in jobs.extract("again")[1]
    jobs.cohort[0] = jobs.cohort[0].model_copy(update={"mpp": 0.45})
    assert "1 slides extracted" in jobs.extract("corrected")[1]
    assert jobs.sidecar("s0")["mpp"] == 0.45
    shutil.copy(slides[3], jobs.uris / "s3/bucket/slides/s1.svs")
    jobs.cohort[1] = jobs.cohort[1].model_copy(update={"bytes": slides[3].stat().st_size})
    assert "1 slides extracted" in jobs.extract("replaced")[1]
    assert "3 slides extracted" in jobs.extract("other", max_tiles=5)[1]
    assert "0 slides extracted" in jobs.extract("settled")[1]


NO_NETWORK = """
import socket

def refused(self, address, *_):
    if self.family != socket.AF_UNIX:
        raise RuntimeError(f"somebody called {address}")

socket.socket.connect = socket.socket.connect_ex = refused
socket.getaddrinfo = lambda host, *_, **__: (_ for _ in ()).throw(RuntimeError(f"somebody looked up {host}"))
"""


def test_no_call_goes_out_of_the_job(tmp_path, slides, monkeypatch):
    """Its URIs are folders here: whatever else it asked for would be a call too many."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "guard"))
    probe = "import socket; socket.create_connection(('127.0.0.1', 9))"
    guarded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert "somebody looked up 127.0.0.1" in guarded.stderr, "the guard is there"
    code, output, errors = jobs_on(tmp_path / "top", slides[:1]).extract()
    assert code == 0, errors
    assert "1 slides extracted (0 failed)" in output
