"""Peers: what cannot be measured is named with its reason, damage and half files are counted as they are, ours runs as a peer does."""

import json
import subprocess
import sys

import openslide
import pytest

from benchmarks import slides
from benchmarks.peers import damage, environments, files
from benchmarks.peers.__main__ import Clock, ready, speeds
from benchmarks.peers.environments import PEERS, Worker, install, why_missing
from benchmarks.slides import TILE, write_slide

SIDE = 8 * TILE


@pytest.fixture(scope="module", autouse=True)
def few_tiles():
    """Slides whose picture repeats after two tiles are written in no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slides, "UNIQUE", 2)
        yield


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "small-0.5.svs"
    write_slide(path, SIDE, 0.5)
    return path


def test_a_peer_that_cannot_be_installed_is_named_with_the_reason(tmp_path, monkeypatch, capsys):
    peer = PEERS["hs2p"]
    assert "--prepare" in why_missing(peer, tmp_path)
    monkeypatch.setattr(environments.venv, "create", lambda home, **_: None)
    assert "No such file" in install(peer, tmp_path), "there is no interpreter to install with"
    assert [worker.name for worker in ready([peer, PEERS["clam"]], tmp_path)] == ["ours"]
    lines = capsys.readouterr().out.splitlines()
    assert "hs2p (Apache-2.0): cannot be installed: " in lines[0] and "No such file" in lines[0]
    assert lines[1].startswith("clam (GPL-3.0): ") and "no package that pip installs" in lines[1]


def test_a_peer_sees_nothing_of_ours(tmp_path):
    assert Worker.of(PEERS["hs2p"], tmp_path).path == ""


def test_speed_and_memory_are_a_figure_each(slide):
    found = list(speeds({Worker.ours(): ""}, slide, slide, 1, Clock()))
    assert [(tool, figure) for tool, figure, _ in found] == [("ours", "tiles_per_s"), ("ours", "peak_mb")]
    assert all(value > 0 for _, _, value in found)


def test_ours_reads_every_tile_and_says_its_memory(slide, tmp_path):
    target = tmp_path / "hashes.json"
    answer = Worker.ours().ask("pixels", str(slide), "", str(target))
    hashes = json.loads(target.read_text())
    assert answer["tiles"] == len(hashes) > 20
    assert isinstance(answer["peak_mb"], float) and 50 < answer["peak_mb"] < 2000 and answer["torch_mb"] == 0


def test_a_worker_that_fails_says_why_in_a_line(tmp_path):
    assert "none.svs" in str(Worker.ours().ask("pixels", str(tmp_path / "none.svs"), "", str(tmp_path / "out")))


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_the_damage_is_announced_by_a_strict_decoder_and_nothing_else_changes(tmp_path, compression):
    path, clean = tmp_path / "a-0.5.svs", tmp_path / "b-0.5.svs"
    for target in (path, clean):
        write_slide(target, SIDE, 0.5, compression)
    count = damage.damage_announced(path, compression)
    changed = 0
    for y in range(0, SIDE, TILE):
        for x in range(0, SIDE, TILE):
            with openslide.OpenSlide(clean) as slide, openslide.OpenSlide(path) as other:
                try:
                    changed += slide.read_region((x, y), 0, (TILE, TILE)) != other.read_region((x, y), 0, (TILE, TILE))
                except openslide.OpenSlideError:
                    changed += 1
    assert 0 < changed <= count <= damage.DAMAGED_TILES


def test_tiles_given_with_other_pixels_are_used_and_those_not_given_are_left_out():
    clean = {"0,0": "a", "1,0": "b", "2,0": "c"}
    assert damage.judge(clean, {"0,0": "a", "1,0": "x"}) == {"damage_used": 1, "damage_left_out": 1}
    assert damage.judge(clean, {}) == {"damage_used": 0, "damage_left_out": 3}


def test_a_half_file_and_a_half_store_are_counted_and_a_missing_one_is_not(tmp_path):
    whole, left = tmp_path / "whole", tmp_path / "left"
    for folder, contents in (
        (whole, {"a.tar": "12345", "b.h5": "12345", "c.h5": "1", "s.zarr/x/0": "1", "s.zarr/x/1": "1"}),
        (left, {"a.tar": "12", "b.h5": "54321", "s.zarr/x/0": "1", ".c.h5.tmp": ""}),
    ):
        for name, text in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    sizes = {"a.tar": 5, "b.h5": 5, "c.h5": 1, "s.zarr/x/0": 1, "s.zarr/x/1": 1}
    assert files.half_things(files.content(whole), files.content(left), sizes, left) == 2


def test_workers_need_nothing_of_the_project_but_ours():
    """A peer's environment has no pydantic, pathology or benchmarks of ours."""
    done = subprocess.run(
        [sys.executable, "-c", "import measured, sys; print({'pathology', 'benchmarks', 'pydantic'} & set(sys.modules))"],
        cwd=environments.WORKERS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
