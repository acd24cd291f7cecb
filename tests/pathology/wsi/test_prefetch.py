"""Slides come just in time: the next is prefetched when the one in progress is nearly done, by its tiles and the pace of downloads."""

from types import SimpleNamespace

import pytest
from pathology.contracts.cohort import CohortRow
from pathology.contracts.errors import DataError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri
from pathology.wsi import prefetch
from pathology.wsi.claims import WorkQueue
from pathology.wsi.layout import FeatureLayout
from pathology.wsi.prefetch import SlidePrefetcher, lead

SIZE = 1000


@pytest.fixture
def clock(monkeypatch):
    """Seconds, told by the test."""
    now = [0.0]
    monkeypatch.setattr(prefetch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def store(tmp_path, clock):
    """Three slides in a folder whose downloads take 10 s on the clock."""

    class Slow(FolderStore):
        def download(self, uri, path):
            super().download(uri, path)
            clock[0] += 10

    made = Slow(tmp_path / "uris")
    for number in range(3):
        made.write(Uri.parse(f"s3://bucket/s{number}.svs"), b"x" * SIZE)
    return made


@pytest.fixture
def slides(store, tmp_path):
    rows = [
        CohortRow(
            slide_id=f"s{number}", patient_id="P", site="", slide_uri=f"s3://bucket/s{number}.svs", bytes=SIZE, md5="",
            mpp=None, label=0, split="test", fold=None,
        )
        for number in range(3)
    ]  # fmt: skip
    claims = FeatureLayout.of("s3://bucket/features", "0123456789abcdef").claims("job")
    with SlidePrefetcher(store, WorkQueue(store, claims, rows, lambda _: False), tmp_path / "scratch") as made:
        yield made


def on_disk(slides) -> list[str]:
    return sorted(path.name for path in slides.folder.glob("*.svs"))


def wait_for_fetch(slides) -> None:
    """Until the slide that is on its way, if one is, is here."""
    if slides._next is not None:
        slides._next.path()


def test_the_next_slide_is_prefetched_when_what_is_left_takes_as_long_as_fetching_it(slides, clock):
    assert next(iter(slides)).slide_id == "s0"
    with slides.local():
        begun = clock[0]
        clock[0] = begun + 100
        slides.progress(0, 1000)
        slides.progress(840, 1000)  # 19.05 s left, and fetching it takes 10
        wait_for_fetch(slides)
        assert on_disk(slides) == ["s0.svs"] and lead(10) == 17
        slides.progress(860, 1000)  # 16.3 s left
        wait_for_fetch(slides)
        assert on_disk(slides) == ["s0.svs", "s1.svs"]
        slides.progress(1000, 1000)  # two are enough
        wait_for_fetch(slides)
        assert on_disk(slides) == ["s0.svs", "s1.svs"]
    assert on_disk(slides) == ["s1.svs"]


def test_a_slide_that_never_told_of_progress_is_followed_by_the_next(slides):
    seen = []
    for row in slides:
        with slides.local() as path:
            seen.append((row.slide_id, path.stat().st_size))
    assert seen == [("s0", SIZE), ("s1", SIZE), ("s2", SIZE)]


def test_a_slide_that_is_another_says_so_where_it_is_asked_for(slides, store):
    store.write(Uri.parse("s3://bucket/s1.svs"), b"x" * 7)
    reasons = []
    for _ in slides:
        try:
            with slides.local():
                slides.progress(1, 1)
        except DataError as error:
            reasons.append(str(error))
    assert reasons == ["its file has 7 bytes and the cohort says 1000: it changed, or is not whole"]
    assert on_disk(slides) == []
